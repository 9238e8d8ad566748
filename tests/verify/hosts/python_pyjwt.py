"""Serves GET /account with the recipe in the module of the first argument."""

import http.client
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "generated"))

import jwt

verify = import_module(sys.argv[1]).verify

# By default, a longer line is a 431 with a connection reset, which can hide the status from the test.
http.client._MAXLINE = 256 * 1024


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        values = self.headers.get_all("Authorization")
        try:
            claims = verify(",".join(values) if values else None)
            status, body = 200, {"user_id": claims["user_id"], "email": claims["email"]}
        except jwt.InvalidTokenError:
            status, body = 401, {}
        except jwt.PyJWTError:
            status, body = 503, {}
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
