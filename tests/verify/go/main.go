package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"

	"signet/verify/auth"
	"signet/verify/publickeys"
)

func answer(w http.ResponseWriter, userID int64, email string) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"user_id": userID, "email": email})
}

func handler() http.HandlerFunc {
	if len(os.Args) == 2 && os.Args[1] == "public-keys" {
		keys := &publickeys.KeySet{URL: os.Getenv("JWKS_URL")}
		return publickeys.RequireToken(keys, func(w http.ResponseWriter, _ *http.Request, claims *publickeys.Claims) {
			answer(w, claims.UserID, claims.Email)
		})
	}
	secrets, err := auth.LoadSecrets()
	if err != nil {
		log.Fatal(err)
	}
	return auth.RequireToken(secrets, func(w http.ResponseWriter, _ *http.Request, claims *auth.Claims) {
		answer(w, claims.UserID, claims.Email)
	})
}

func main() {
	http.HandleFunc("/account", handler())
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
