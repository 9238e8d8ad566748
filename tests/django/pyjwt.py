"""Makes or reads a token with the installed version of PyJWT: `make SECRET CLAIMS` or `read SECRET TOKEN`."""

import json
import sys

import jwt

command, secret, argument = sys.argv[1:]
if command == "make":
    token = jwt.encode(json.loads(argument), secret, "HS256")
    print(token if isinstance(token, str) else token.decode())
else:
    print(json.dumps(jwt.decode(argument, secret, algorithms=["HS256"])))
