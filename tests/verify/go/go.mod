module signet/verify

go 1.19

require github.com/golang-jwt/jwt/v4 v4.4.3

// Debian's package golang-github-golang-jwt-jwt-dev: builds need no network.
replace github.com/golang-jwt/jwt/v4 => /usr/share/gocode/src/github.com/golang-jwt/jwt
