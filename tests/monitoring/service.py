"""The running programs: a Signet with every kind of metric, the blackbox exporter, and a Prometheus with the configuration of the guide."""

import json
import os
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from kit import RULES

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from postgres import free_port  # noqa: E402

EMAIL, PASSWORD = "you@example.com", "correct horse"
API = "/v1/auth/jwt"


@contextmanager
def process(log: Path, command: list[str], **options: object) -> Iterator[None]:
    """Runs a server. Its log is a file, because a full pipe would block the server."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, **options) as server:
        try:
            yield
        finally:
            server.kill()


def until(condition: Callable[[], object], what: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} takes more than 30 seconds; log:\n{log.read_text()[-4000:]}")
        time.sleep(0.05)


def get(url: str, **headers: str) -> str | None:
    """Returns the body, or `None` if the server does not listen yet, or is not ready."""
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as response:
            return response.read().decode()
    except (HTTPError, URLError, ConnectionError):
        return None


class Service:
    """A service with TLS, the operation `verify` and a previous secret, so that it has all metrics."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.admin = free_port(), f"127.0.0.1:{free_port()}"
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
        subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "SIGNET_CONFIG": "/dev/null",
            "SIGNET_LISTEN": f"127.0.0.1:{self.port}",
            "SIGNET_ADMIN_LISTEN": self.admin,
            "SIGNET_DATABASE_URL": f"sqlite:{folder}/signet.db",
            # The time limit of a request while another process locks the database.
            "SIGNET_DATABASE_WAIT": "1",
            "SIGNET_TLS_CERTIFICATE": str(certificate),
            "SIGNET_TLS_KEY": str(key),
            "SIGNET_JWT_SECRET": "secret" * 8,
            "SIGNET_JWT_PREVIOUS_SECRETS": "previous" * 8,
            "SIGNET_VERIFY": "on",
            "SIGNET_ARGON2_MEMORY_KIB": "32",
            "SIGNET_ARGON2_ITERATIONS": "1",
            "SIGNET_THROTTLE_ACCOUNT": "2/15m",
        }
        create = [os.environ["SIGNET"], "user", "create", EMAIL, "--password-stdin"]
        subprocess.run(create, env=self.environment, input=PASSWORD.encode(), check=True, capture_output=True)

    def ask(self, path: str, body: object = None) -> tuple[int, bytes]:
        request = Request(f"https://127.0.0.1:{self.port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urlopen(request, timeout=10, context=ssl._create_unverified_context()) as response:
                return response.status, response.read()
        except HTTPError as error:
            return error.code, error.read()

    def login(self, email: str = EMAIL, password: str = PASSWORD) -> tuple[int, bytes]:
        return self.ask(f"{API}/obtain/", {"email": email, "password": password})

    def traffic(self) -> None:
        """Sends requests of each operation that succeed and that fail."""
        status, body = self.login()
        assert status == 200, body
        token = json.loads(body)["token"]
        for operation in ("refresh", "verify"):
            for sent in (token, "invalid"):
                self.ask(f"{API}/{operation}/", {"token": sent})
        get(f"http://{self.admin}/verify", Authorization=f"Bearer {token}")
        for number in range(4):
            self.login("other@example.com", f"wrong {number}")
        self.ask("/openapi.json")
        self.ask("/unknown")

    def lock_database(self) -> None:
        """Causes a login that fails because of the database."""
        with sqlite3.connect(self.folder / "signet.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            status, body = self.login("third@example.com", "wrong")
            assert status == 503, (status, body)
            other.execute("ROLLBACK")

    def metrics(self) -> str:
        return get(f"http://{self.admin}/metrics", Accept="text/plain")


def configuration(text: str, admin: str, exporter: str) -> str:
    """Returns the configuration of the guide with the addresses of this machine, and with short intervals."""
    replacements = {
        '"10.0.0.1:9000", "10.0.0.2:9000"': f'"{admin}"',
        "127.0.0.1:9115": exporter,
        "/usr/share/signet/prometheus/signet.rules.yaml": str(RULES),
        "15s": "200ms",
    }
    for old, new in replacements.items():
        assert old in text, f"the configuration of the guide has no {old}"
        text = text.replace(old, new)
    return text


@contextmanager
def running(folder: Path, prometheus_yml: str) -> Iterator[tuple[Service, str]]:
    """Yields a service, and the URL of a Prometheus that has read its first metrics."""
    service = Service(folder)
    exporter, prometheus = (f"127.0.0.1:{free_port()}" for _ in range(2))
    (folder / "prometheus.yml").write_text(configuration(prometheus_yml, service.admin, exporter))
    commands = {
        "signet": [os.environ["SIGNET"], "serve"],
        "exporter": [
            "prometheus-blackbox-exporter",
            "--config.file=/etc/prometheus/blackbox.yml",
            f"--web.listen-address={exporter}",
        ],
        "prometheus": [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={prometheus}",
        ],
    }
    ready = {
        "signet": f"http://{service.admin}/readyz",
        "exporter": f"http://{exporter}/-/healthy",
        "prometheus": f"http://{prometheus}/-/ready",
    }
    with ExitStack() as started:
        for name, command in commands.items():
            environment = service.environment if name == "signet" else None
            started.enter_context(process(folder / f"{name}.log", command, cwd=folder, env=environment))
        for name, url in ready.items():
            until(lambda url=url: get(url), f"the start of {name}", folder / f"{name}.log")
        yield service, f"http://{prometheus}"
