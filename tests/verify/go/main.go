package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"

	"signet/verify/auth"
)

func account(w http.ResponseWriter, _ *http.Request, claims *auth.Claims) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"user_id": claims.UserID, "email": claims.Email})
}

func main() {
	secrets, err := auth.LoadSecrets()
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/account", auth.RequireToken(secrets, account))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
