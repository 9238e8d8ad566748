"""The servers under test."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.request import Request, urlopen

import jwt
import psutil
from argon2 import PasswordHasher
from common import BENCH_DIR, WORK, pinned

sys.path.insert(0, str(BENCH_DIR.parent / "tests"))
from postgres import Postgres, free_port  # noqa: E402

# SIGTERM raises KeyboardInterrupt, so that context managers stop all servers.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# Copies, so that a build in the meantime does not change the binaries.
SIGNET, BENCH = (shutil.copy(os.environ[name], WORK.name) for name in ["SIGNET", "BENCH"])
EMAIL, PASSWORD = "user{}@example.com", "1234ABCD"
SECRET = "benchmark-secret-without-any-account-0123456789"
# Rate limits that no client reaches.
UNLIMITED = {"SIGNET_THROTTLE_ADDRESS": "100000/15m", "SIGNET_THROTTLE_ACCOUNT": "100000/15m"}
# Requests use at most this many accounts.
MAX_REQUEST_ACCOUNTS = 2_000


def sign_token(account_id):
    """Returns a token as the service issues it."""
    now, email = int(time.time()), EMAIL.format(account_id)
    claims = {"user_id": account_id, "username": email, "exp": now + 3600, "email": email, "orig_iat": now}
    return jwt.encode(claims, SECRET).decode()


def copy_binary(binary, directory):
    """Returns the path of a new copy, which replaces an earlier copy.

    The physical pages of a binary change the speed of Argon2 by up to 40 %. A new copy for every start makes that a random error.
    """
    path = Path(directory, "binary")
    return Path(shutil.copy(binary, path.with_suffix(".new"))).replace(path)


def argon2_cost(environment):
    """Returns the memory (KiB) and the iterations in the configuration of Signet."""
    config = subprocess.run([SIGNET, "config", "show", "--json"], env=environment, capture_output=True, check=True).stdout
    return [json.loads(config)[name]["value"] for name in ["argon2_memory_kib", "argon2_iterations"]]


def cpu_seconds(pid):
    """Returns the CPU time of a process and of its exited children, or 0 if the process has exited."""
    try:
        return sum(psutil.Process(pid).cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0


class Server:
    """A server in a directory of its own, on the cores of a list for taskset. Subclasses define `prepare` and `command`."""

    def __init__(self, cores, accounts=64, **environment):
        self.cores, self.accounts, self.port, self.process = cores, accounts, free_port(), None
        self.directory = Path(tempfile.mkdtemp(dir=WORK.name))
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), **environment}
        with ExitStack() as cleanup:
            cleanup.callback(shutil.rmtree, self.directory)
            self.prepare(cleanup)
            self.cleanup = cleanup.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.cleanup.close()

    def prepare(self, cleanup):
        """Creates the data of the server."""

    def start(self):
        """Starts the server, and returns the seconds until its first response."""
        command = pinned(self.cores, *self.command())
        # Otherwise the kernel writes the data of `prepare` to the disk during the measurement.
        os.sync()
        started = time.monotonic()
        with open(self.directory / "log", "w") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, env=self.environment, stdout=log, stderr=log)
        while self.post("refresh", {}) is None:
            time.sleep(0.001)
        return time.monotonic() - started

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def url(self, operation):
        return f"http://127.0.0.1:{self.port}/v1/auth/jwt/{operation}/"

    def post(self, operation, body):
        """Returns the status of the response, or None if the server does not listen yet."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            try:
                connection.request("POST", self.url(operation), json.dumps(body), {"Content-Type": "application/json"})
                return connection.getresponse().status
            except ConnectionRefusedError:
                assert self.process.poll() is None, (self.directory / "log").read_text()
                return None

    def bodies(self, operation):
        """Returns valid request bodies for accounts spread over all accounts."""
        count = min(self.accounts, MAX_REQUEST_ACCOUNTS)
        # 7919 is a prime: the accounts are not in the order of their rows.
        ids = [1 + number * 7919 % count * (self.accounts // count) for number in range(count)]
        if operation == "refresh":
            return [{"token": sign_token(account_id)} for account_id in ids]
        return [{"email": EMAIL.format(account_id), "password": PASSWORD} for account_id in ids]

    def processes(self):
        """Returns the IDs of the process and its children."""
        process = psutil.Process(self.process.pid)
        return [each.pid for each in [process, *process.children()]]

    def cpu_seconds(self):
        return sum(map(cpu_seconds, self.processes()))

    def memory_kib(self):
        """Returns the resident memory of the process."""
        return psutil.Process(self.process.pid).memory_info().rss / 1024


class Signet(Server):
    """Signet on SQLite."""

    def prepare(self, cleanup):
        self.environment |= {"SIGNET_CONFIG": "/dev/null", "SIGNET_JWT_SECRET": SECRET}
        memory_kib, iterations = argon2_cost(self.environment)
        password = f'"argon2{PasswordHasher(iterations, memory_kib, parallelism=1).hash(PASSWORD)}"'
        command = [SIGNET, "user", "import", "--format=csv", "-"]
        options = {"cwd": self.directory, "env": self.environment, "text": True, "stdin": subprocess.PIPE}
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options) as process:
            process.stdin.write("id,email,password,is_active\n")
            process.stdin.writelines(f"{number},{EMAIL.format(number)},{password},t\n" for number in range(1, self.accounts + 1))
        assert process.returncode == 0

    def command(self):
        return [copy_binary(SIGNET, self.directory), "serve", "--listen", f"127.0.0.1:{self.port}"]


class SignetWithKey(Signet):
    """Signet with ES256."""

    DOCUMENTS = {"jwks": "/.well-known/jwks.json", "claims": "/openapi/claims.schema.json"}

    def prepare(self, cleanup):
        super().prepare(cleanup)
        key = subprocess.run([SIGNET, "secret", "generate", "--algorithm=es256"], capture_output=True, check=True).stdout
        (self.directory / "keys.pem").write_bytes(key)
        del self.environment["SIGNET_JWT_SECRET"]
        self.environment |= {"SIGNET_JWT_ALGORITHM": "ES256", "SIGNET_JWT_KEYS_FILE": "keys.pem"}

    def url(self, operation):
        path = self.DOCUMENTS.get(operation)
        return f"http://127.0.0.1:{self.port}{path}" if path else super().url(operation)

    def bodies(self, operation):
        """Logs in to each account, because only the service has the key."""
        bodies = super().bodies("obtain")
        if operation == "obtain":
            return bodies
        self.start()
        try:
            return [{"token": self.token(body)} for body in bodies]
        finally:
            self.stop()

    def token(self, credentials):
        request = Request(self.url("obtain"), json.dumps(credentials).encode(), {"Content-Type": "application/json"})
        with urlopen(request) as response:
            return json.load(response)["token"]


class Gateway(Signet):
    """Signet, and the listener to which gateways send `verify`."""

    def prepare(self, cleanup):
        self.gateway = f"127.0.0.1:{free_port()}"
        self.environment["SIGNET_ADMIN_LISTEN"] = self.gateway
        super().prepare(cleanup)

    def url(self, operation):
        return f"http://{self.gateway}/verify" if operation == "verify" else super().url(operation)


class SignetOnPostgres(Signet):
    """Signet on a PostgreSQL that shares its cores. Its CPU time includes that of PostgreSQL."""

    def prepare(self, cleanup):
        self.postgres = Postgres(fsync="on")
        cleanup.callback(self.postgres.close)
        for pid in self.postgres.processes():
            os.sched_setaffinity(pid, map(int, self.cores.split(",")))
        self.postgres.sql("CREATE DATABASE signet")
        self.environment["SIGNET_DATABASE_URL"] = self.postgres.url("signet")
        super().prepare(cleanup)

    def processes(self):
        return super().processes() + self.postgres.processes()


class Echo(Server):
    """The echo server of the framework in the environment."""

    def command(self):
        return [copy_binary(BENCH, self.directory), "echo", self.environment["FRAMEWORK"], f"127.0.0.1:{self.port}"]


class Django(Server):
    def prepare(self, cleanup):
        shutil.copytree(BENCH_DIR.parent / "tests/django/service", self.directory, dirs_exist_ok=True)
        self.environment |= {
            "DJANGO_SETTINGS_MODULE": "settings",
            "DJANGO_SECRET": SECRET,
            "DJANGO_DATABASE": str(self.directory / "django.sqlite3"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        users = f"User(id=n, email={EMAIL!r}.format(n)) for n in range(1, {self.accounts} + 1)"
        create = f"from refapi.models import User; User.objects.bulk_create([{users}])"
        for arguments in [["migrate", "--verbosity=0"], ["shell", "--command", create]]:
            subprocess.run([sys.executable, "manage.py", *arguments], cwd=self.directory, env=self.environment, check=True)

    def command(self):
        # Threads and keep-alive connections make gunicorn 5 % slower.
        return [sys.executable, "-m", "gunicorn", "--workers=2", f"--bind=127.0.0.1:{self.port}", "django.core.wsgi:get_wsgi_application()"]
