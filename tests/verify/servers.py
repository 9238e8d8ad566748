"""The servers around the recipes: Signet, the application behind the gateways, and a key set that the test changes."""

import base64
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
SECRET, PREVIOUS = "5ecret" * 8, "previous" * 5
# Gateways must encode some characters of this email.
EMAIL = "o'neil+%41@exämple.com"
PASSWORD = "correct horse"
# The page has the same issuer.
ISSUER = "https://auth.example.com"


class Service:
    """A running Signet with two accounts. The tokens of the second account are revoked."""

    # The settings of the keys that sign, and the variables of the recipes.
    signing: dict[str, str]
    variables: dict[str, str]

    def __init__(self, folder: Path) -> None:
        self.public, self.admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.database = folder / f"{type(self).__name__}.db"
        self.environment = {
            "PATH": os.environ["PATH"],
            "SIGNET_CONFIG": "/dev/null",
            "SIGNET_DATABASE_URL": f"sqlite:{self.database}",
            "SIGNET_ARGON2_MEMORY_KIB": "32",
            "SIGNET_ARGON2_ITERATIONS": "1",
            "SIGNET_LOG": "warn",
            "SIGNET_LISTEN": self.public,
            "SIGNET_ADMIN_LISTEN": self.admin,
        }
        self.configure(folder)
        self.environment |= self.signing
        for number in (1, 2):
            self.run("user", "create", EMAIL.replace("@", f"{number}@"), "--password-stdin")

    def run(self, *command: str) -> bytes:
        signet = [os.environ["SIGNET"], *command]
        done = subprocess.run(
            signet, env=self.environment, input=f"{PASSWORD}\n".encode(), stdout=subprocess.PIPE, check=True
        )
        return done.stdout

    def mint(self, now: int | None = None) -> dict[str, str]:
        mint = [os.environ["MINT"], *self.arguments(str(now or int(time.time())))]
        tokens = json.loads(subprocess.run(mint, capture_output=True, check=True).stdout)
        self.run("user", "revoke-tokens", "--id", "2")
        return tokens

    def mint_at_the_start_of_a_second(self) -> dict[str, str]:
        """Mints tokens of the current second, so that the expired token has expired one second ago."""
        now = int(time.time()) + 2
        tokens = self.mint(now)
        time.sleep(max(0, now + 0.1 - time.time()))
        return tokens

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Moves the file of the database away. The service then answers with the status 503."""
        moved = self.database.rename(self.database.with_name("moved.db"))
        try:
            yield
        finally:
            moved.rename(self.database)


class SecretService(Service):
    def configure(self, folder: Path) -> None:
        secrets = folder / "jwt-secrets"
        secrets.write_text(f"{SECRET}\n{PREVIOUS}\n")
        self.signing = {"SIGNET_JWT_SECRET": SECRET, "SIGNET_JWT_PREVIOUS_SECRETS": PREVIOUS}
        self.variables = {
            "JWT_SECRETS_FILE": str(secrets),
            "JWT_SECRET": SECRET,
            "JWT_PREVIOUS_SECRET": PREVIOUS,
        }

    def arguments(self, now: str) -> list[str]:
        return ["hs256", now, SECRET, PREVIOUS, EMAIL]


class KeyService(Service):
    def configure(self, folder: Path) -> None:
        self.keys = folder / "keys.pem"
        self.keys.touch(mode=0o600)
        for _ in range(2):
            with self.keys.open("ab") as file:
                file.write(self.run("secret", "generate", "--algorithm", "es256"))
        # The minted tokens have no issuer, as tokens from before this setting.
        self.signing = {
            "SIGNET_JWT_ALGORITHM": "ES256",
            "SIGNET_JWT_KEYS_FILE": str(self.keys),
            "SIGNET_JWT_ISSUER": ISSUER,
        }
        self.variables = {"JWKS_URL": f"http://{self.public}/.well-known/jwks.json"}

    def arguments(self, now: str) -> list[str]:
        return ["es256", now, str(self.keys), EMAIL]

    def obtain(self) -> str:
        """Returns a token that the service issues for the first account."""
        credentials = {"email": EMAIL.replace("@", "1@"), "password": PASSWORD}
        request = urllib.request.Request(
            f"http://{self.public}/v1/auth/jwt/obtain/",
            json.dumps(credentials).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)["token"]

    def published(self, token: str) -> list[dict]:
        """Returns the public keys, the key of the token first."""
        with urllib.request.urlopen(self.variables["JWKS_URL"]) as response:
            keys = json.load(response)["keys"]
        header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        return sorted(keys, key=lambda key: key["kid"] != header["kid"])


class KeySet:
    """Serves public keys. Without keys, each request fails."""

    def __init__(self, keys: list[dict] | None) -> None:
        self.keys = keys
        self.requests = 0
        key_set = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                key_set.requests += 1
                body = json.dumps({"keys": key_set.keys}).encode()
                self.send_response(503 if key_set.keys is None else 200)
                self.send_header("Content-Type", "application/jwk-set+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@contextmanager
def started_application() -> Iterator[str]:
    """Starts an application behind the gateways. The application returns the headers of a request."""

    class Application(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(headers)))
            self.end_headers()
            self.wfile.write(headers)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def process(command: list[str], environment: dict[str, str], address: str) -> Iterator[None]:
    """Starts a server, and waits until it accepts connections."""
    server = subprocess.Popen(
        command, cwd=HERE, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0
    )
    log: list[bytes] = []
    threading.Thread(target=lambda: log.extend(server.stderr), daemon=True).start()
    try:
        wait_for(address, server, log)
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(address: str, server: subprocess.Popen, log: list[bytes]) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection((host, int(port))).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError(f"{server.args} does not listen on {address}: {b''.join(log).decode()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
