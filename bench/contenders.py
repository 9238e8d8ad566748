"""What is measured: each is started on an empty folder, answers, is asked, and ends."""

import base64
import hashlib
import hmac
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
from pathlib import Path

from effort import SPREAD

HERE = Path(__file__).parent.resolve()
sys.path.insert(0, str(HERE.parent / "tests"))
from postgres import Postgres, free_port  # noqa: E402

# SIGTERM is like ^C: whatever was started ends, too.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# Whoever builds meanwhile changes nothing of what is measured.
KEPT = tempfile.TemporaryDirectory()
SIGNET, BENCH = (shutil.copy(os.environ[name], KEPT.name) for name in ["SIGNET", "BENCH"])
EMAIL, PASSWORD = "jonhdoeqa@email.com", "1234ABCD"
SECRET = "measured-with-a-secret-of-no-account-0123456789"
PATH = "/v1/auth/jwt/{}/"


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(user_id, email):
    """A token of this account, as the service would issue it now."""
    now = int(time.time())
    claims = {"user_id": user_id, "username": email, "exp": now + 3600, "email": email, "orig_iat": now}
    message = part(b'{"typ":"JWT","alg":"HS256"}') + b"." + part(json.dumps(claims, separators=(",", ":")).encode())
    return (message + b"." + part(hmac.digest(SECRET.encode(), message, hashlib.sha256))).decode()


def tree(process):
    """A process, and all that it has started."""
    started = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], text=True, capture_output=True).stdout
    return [process, *(deeper for child in started.split() for deeper in tree(int(child)))]


def seconds(process):
    """The processor time of one process so far, and of those that it has waited for. Of one that has ended, nothing is known."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def copy(binary, folder):
    """The binary anew, in a folder that is thrown away.

    Where in memory the kernel happens to hold the pages of a file makes the same hash of the same binary up to 40 % slower, for as
    long as it holds them: that is not to be the luck of one contender for a whole run.
    """
    return shutil.copy(binary, tempfile.mkdtemp(dir=folder))


class Contender:
    """Its processes share the processors that are given to it; `cores` is what taskset takes. Each start is of a new copy."""

    name, description = "", ""

    def __init__(self, cores, accounts=64):
        self.cores, self.accounts = cores, accounts
        self.folder = Path(tempfile.mkdtemp())
        self.port = free_port()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        self.binary = self.process = self.size = None
        try:
            self.prepare()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        """Starts it, until it answers. What was written before is on its disk by then, and not written while it is measured."""
        command = ["taskset", "-c", self.cores, *map(str, self.command())]
        os.sync()
        started = time.monotonic()
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        while self.post("refresh", {}) is None:
            time.sleep(0.001)
        self.started_in = time.monotonic() - started

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def copied(self, binary):
        """A new copy, instead of the one before."""
        before, self.binary = self.binary, copy(binary, self.folder)
        if before:
            os.remove(before)
        return self.binary

    def asked(self):
        """Ids and e-mails of those who are asked for."""
        some = min(self.accounts, SPREAD)
        ids = [1 + number * (self.accounts // some) for number in range(some)]
        # Not in the order in which they lie.
        ids = [ids[number * 7919 % some] for number in range(some)]
        return [(id, EMAIL if id == 1 else f"user{id}@example.com") for id in ids]

    def bodies(self, operation):
        """Good ones, of all who are asked for."""
        kinds = {
            "refresh": lambda id, email: {"token": token(id, email)},
            "obtain": lambda _, email: {"email": email, "password": PASSWORD},
        }
        return [kinds[operation](*account) for account in self.asked()]

    def prepare(self):
        pass

    def post(self, operation, body):
        """The status of the answer, if somebody listens. Its size is kept."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", PATH.format(operation), json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.size = len(answer.read())
            return answer.status
        except ConnectionRefusedError:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            return None

    def processes(self):
        return tree(self.process.pid)

    def seconds(self):
        return sum(map(seconds, self.processes()))

    def memory_kib(self, figure="VmRSS"):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(figure))

    def close(self):
        self.stop()
        shutil.rmtree(self.folder)


class OnSqlite(Contender):
    name, description = "Signet on SQLite", "as it ships, with its log in a file"
    store, url = "SQLite", None

    def prepare(self):
        self.environment |= {"SIGNET_CONFIG": "/dev/null", "SIGNET_JWT_SECRET": SECRET}
        self.environment |= {"SIGNET_DATABASE_URL": self.url} if self.url else {}
        command = [SIGNET, "user", "add", EMAIL, "--password-stdin", "--force"]
        options = {"cwd": self.folder, "env": self.environment, "input": PASSWORD, "text": True}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        if self.accounts > 1:
            self.add_others()

    def add_others(self):
        with sqlite3.connect(self.folder / "data/signet.db") as database:
            database.execute(self.others([row[1] for row in database.execute("PRAGMA table_info(users)")]))
        database.close()

    def others(self, columns):
        """The statement that adds the other accounts, of the same password."""
        email = "'user' || number || '@example.com'"
        values = ", ".join({"id": "number", "email": email, "email_key": email}.get(column, column) for column in columns)
        numbers = f"SELECT 2 AS number UNION ALL SELECT number + 1 FROM numbers WHERE number < {self.accounts}"
        return f"WITH RECURSIVE numbers AS ({numbers}) INSERT INTO users SELECT {values} FROM numbers, users WHERE id = 1"

    def command(self):
        return [self.copied(SIGNET), "serve", "--listen", f"127.0.0.1:{self.port}"]


class Quiet(OnSqlite):
    name, description = "Signet, quiet", "the same with SIGNET_LOG=warn: no line for each request, as nobody else here writes one"

    def prepare(self):
        super().prepare()
        self.environment["SIGNET_LOG"] = "warn"


class OnPostgres(OnSqlite):
    name, description = "Signet on PostgreSQL", "as it ships; the database's processes count, and share its processor"
    store, postgres = "PostgreSQL", None

    def prepare(self):
        self.postgres = Postgres(fsync="on")
        self.postgres.sql("CREATE DATABASE signet")
        self.url = self.postgres.url("signet")
        super().prepare()

    def add_others(self):
        columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'users' ORDER BY ordinal_position"
        self.postgres.sql(self.others(self.postgres.sql(columns, "signet").split()), "signet")

    def processes(self):
        processes = self.postgres.processes()
        for process in processes:
            subprocess.run(["taskset", "-cp", self.cores, str(process)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return super().processes() + processes

    def close(self):
        try:
            super().close()
        finally:
            if self.postgres:
                self.postgres.close()


class Echo(Contender):
    # Microseconds of work with each request, beyond what it is.
    work = 0

    def command(self):
        return [self.copied(BENCH), "echo", self.kind, f"127.0.0.1:{self.port}", f"{self.work * 1000:.0f}"]


class PoemEcho(Echo):
    name, description, kind = "poem echo", "parses the same body, and answers one of the same size: the framework's limit", "poem"


class PoemOpenapiEcho(Echo):
    name, description, kind = "poem-openapi echo", "the same by types", "poem-openapi"


class HyperEcho(Echo):
    name, description, kind = "hyper echo", "the same without a framework: the runtime's limit", "hyper"


class Django(Contender):
    name, description = "Django", "djangorestframework-jwt 1.11 on Django 3.2, gunicorn with two workers, which keep no connections, SQLite"

    def prepare(self):
        service = HERE.parent / "tests/django/service"
        shutil.copytree(service, self.folder, dirs_exist_ok=True)
        self.environment |= {
            "DJANGO_SETTINGS_MODULE": "settings",
            "DJANGO_SECRET": SECRET,
            "DJANGO_DATABASE": str(self.folder / "django.sqlite3"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.manage("migrate", "--verbosity=0")
        account = f"from refapi.models import User; it = User(email={EMAIL!r}); it.set_password({PASSWORD!r}); it.save(); "
        account += f"User.objects.bulk_create([User(id=n, email=f'user{{n}}@example.com') for n in range(2, {self.accounts} + 1)])"
        self.manage("shell", "--command", account)

    def manage(self, *arguments):
        command = [HERE / ".venv/bin/python", "manage.py", *arguments]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True)

    def command(self):
        # Threads, and connections that are kept, would cost it a twentieth more.
        app = "django.core.wsgi:get_wsgi_application()"
        bind = f"127.0.0.1:{self.port}"
        return [HERE / ".venv/bin/gunicorn", "--workers=2", f"--bind={bind}", app]


ALL = [OnSqlite, Quiet, OnPostgres, PoemEcho, PoemOpenapiEcho, HyperEcho, Django]
