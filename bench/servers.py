"""The servers under test."""

import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import jwt
import psutil
from common import BENCH_DIR, WORK, pinned

sys.path.insert(0, str(BENCH_DIR.parent / "tests"))
from postgres import Postgres, free_port  # noqa: E402

# SIGTERM raises KeyboardInterrupt, so that context managers stop all servers.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# Copies, so that a build in the meantime does not change the binaries.
SIGNET, BENCH = (shutil.copy(os.environ[name], WORK.name) for name in ["SIGNET", "BENCH"])
EMAIL, PASSWORD = "jonhdoeqa@email.com", "1234ABCD"
SECRET = "benchmark-secret-without-any-account-0123456789"
# Rate limits that no client reaches.
UNLIMITED = {"SIGNET_THROTTLE_ADDRESS": "100000/15m", "SIGNET_THROTTLE_ACCOUNT": "100000/15m"}
# Requests use at most this many accounts.
MAX_REQUEST_ACCOUNTS = 2_000


def sign_token(account_id, email):
    """Returns a token as the service issues it."""
    now = int(time.time())
    claims = {"user_id": account_id, "username": email, "exp": now + 3600, "email": email, "orig_iat": now}
    return jwt.encode(claims, SECRET).decode()


def copy_binary(binary, directory):
    """Returns the path of a new copy.

    The physical pages of a binary change the speed of Argon2 by up to 40 %. A new copy for every start makes that a random error.
    """
    return shutil.copy(binary, tempfile.mkdtemp(dir=directory))


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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(connection):
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
        accounts = [(account_id, EMAIL if account_id == 1 else f"user{account_id}@example.com") for account_id in ids]
        if operation == "refresh":
            return [{"token": sign_token(*account)} for account in accounts]
        return [{"email": email, "password": PASSWORD} for _, email in accounts]

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
        command = [SIGNET, "user", "add", EMAIL, "--password-stdin", "--force"]
        options = {"cwd": self.directory, "env": self.environment, "input": PASSWORD, "text": True}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        self.add_accounts()

    def add_accounts(self):
        with closing(sqlite3.connect(self.directory / "data/signet.db")) as database, database:
            database.execute(self.insert_statement([row[1] for row in database.execute("PRAGMA table_info(users)")]))

    def insert_statement(self, columns):
        """Returns the SQL that copies account 1 to the other accounts."""
        email = "'user' || number || '@example.com'"
        values = ", ".join({"id": "number", "email": email, "email_key": email}.get(column, column) for column in columns)
        numbers = f"SELECT 1 AS number UNION ALL SELECT number + 1 FROM numbers WHERE number < {self.accounts}"
        source = f"SELECT {values} FROM numbers, users WHERE id = 1 AND number > 1"
        return f"WITH RECURSIVE numbers AS ({numbers}) INSERT INTO users {source}"

    def command(self):
        return [copy_binary(SIGNET, self.directory), "serve", "--listen", f"127.0.0.1:{self.port}"]


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

    def add_accounts(self):
        columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'users' ORDER BY ordinal_position"
        self.postgres.sql(self.insert_statement(self.postgres.sql(columns, "signet").split()), "signet")

    def processes(self):
        return super().processes() + self.postgres.processes()


class PoemEcho(Server):
    framework = "poem"

    def command(self):
        return [copy_binary(BENCH, self.directory), "echo", self.framework, f"127.0.0.1:{self.port}"]


class HyperEcho(PoemEcho):
    framework = "hyper"


class Django(Server):
    def prepare(self, cleanup):
        shutil.copytree(BENCH_DIR.parent / "tests/django/service", self.directory, dirs_exist_ok=True)
        self.environment |= {
            "DJANGO_SETTINGS_MODULE": "settings",
            "DJANGO_SECRET": SECRET,
            "DJANGO_DATABASE": str(self.directory / "django.sqlite3"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.manage("migrate", "--verbosity=0")
        accounts = f"from refapi.models import User; user = User(email={EMAIL!r}); user.set_password({PASSWORD!r}); user.save(); "
        accounts += f"User.objects.bulk_create([User(id=n, email=f'user{{n}}@example.com') for n in range(2, {self.accounts} + 1)])"
        self.manage("shell", "--command", accounts)

    def manage(self, *arguments):
        subprocess.run([BENCH_DIR / ".venv/bin/python", "manage.py", *arguments], cwd=self.directory, env=self.environment, check=True)

    def command(self):
        # Threads and keep-alive connections make gunicorn 5 % slower.
        gunicorn = BENCH_DIR / ".venv/bin/gunicorn"
        return [gunicorn, "--workers=2", f"--bind=127.0.0.1:{self.port}", "django.core.wsgi:get_wsgi_application()"]
