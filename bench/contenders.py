"""What is measured: each is started on an empty folder, answers, is asked, and ends."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent.resolve()
sys.path.insert(0, str(HERE.parent / "tests"))
from postgres import Postgres, free_port  # noqa: E402

SIGNET, BENCH = os.environ["SIGNET"], os.environ["BENCH"]
EMAIL, PASSWORD = "jonhdoeqa@email.com", "1234ABCD"
SECRET = "measured-with-a-secret-of-no-account-0123456789"
PATH = "/v1/auth/jwt/{}/"


def tree(process):
    """A process, and all that it has started."""
    started = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], text=True, capture_output=True).stdout
    return [process, *(deeper for child in started.split() for deeper in tree(int(child)))]


def seconds(process):
    """The processor time of one process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


class Contender:
    """Its processes share the processors that are given to it; `cores` is what taskset takes."""

    name, description = "", ""
    # One more token is asked of whoever gives some.
    gives_tokens = False

    def __init__(self, cores):
        self.folder = Path(tempfile.mkdtemp())
        self.port = free_port()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        self.prepare()
        started = time.monotonic()
        command = ["taskset", "-c", cores, *map(str, self.command())]
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        while self.post("refresh", {"token": "x"}) is None:
            time.sleep(0.001)
        self.started_in = time.monotonic() - started
        self.token = "e30." * 60 + "e30"
        if self.gives_tokens:
            self.token = self.post("obtain", {"email": EMAIL, "password": PASSWORD})["token"]

    def prepare(self):
        pass

    def post(self, operation, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", PATH.format(operation), json.dumps(body), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read() or "null") or {}
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
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


class OnSqlite(Contender):
    name, description = "Signet on SQLite", "as it ships, with its log in a file"
    gives_tokens = True
    url = None

    def prepare(self):
        self.environment |= {"SIGNET_CONFIG": "/dev/null", "SIGNET_JWT_SECRET": SECRET, "SIGNET_HASHING_WAIT": "60s"}
        self.environment |= {"SIGNET_DATABASE_URL": self.url} if self.url else {}
        command = [SIGNET, "user", "add", EMAIL, "--password-stdin", "--force"]
        options = {"cwd": self.folder, "env": self.environment, "input": PASSWORD, "text": True}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)

    def command(self):
        return [SIGNET, "serve", "--listen", f"127.0.0.1:{self.port}"]


class Quiet(OnSqlite):
    name, description = "Signet, quiet", "the same with SIGNET_LOG=warn: no line for each request, as nobody else here writes one"

    def prepare(self):
        super().prepare()
        self.environment["SIGNET_LOG"] = "warn"


class OnPostgres(OnSqlite):
    name, description = "Signet on PostgreSQL", "as it ships; the database's processes count, and share its processor"

    def prepare(self):
        self.postgres = Postgres(fsync="on")
        self.postgres.sql("CREATE DATABASE signet")
        self.url = self.postgres.url("signet")
        super().prepare()

    def processes(self):
        processes = self.postgres.processes()
        for process in processes:
            subprocess.run(["taskset", "-cp", "0", str(process)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return super().processes() + processes

    def close(self):
        super().close()
        self.postgres.close()


class Echo(Contender):
    def command(self):
        return [BENCH, "echo", self.kind, f"127.0.0.1:{self.port}"]


class PoemEcho(Echo):
    name, description, kind = "poem echo", "parses the same body, and answers one of the same size: the framework's limit", "poem"


class PoemOpenapiEcho(Echo):
    name, description, kind = "poem-openapi echo", "the same by types", "poem-openapi"


class HyperEcho(Echo):
    name, description, kind = "hyper echo", "the same without a framework: the runtime's limit", "hyper"


class Django(Contender):
    name, description = "Django", "djangorestframework-jwt 1.11 on Django 3.2, gunicorn with two workers that keep connections, SQLite"
    gives_tokens = True

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
        account = f"from refapi.models import User; it = User(email={EMAIL!r}); it.set_password({PASSWORD!r}); it.save()"
        self.manage("shell", "--command", account)

    def manage(self, *arguments):
        command = [HERE / ".venv/bin/python", "manage.py", *arguments]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True)

    def command(self):
        app = "django.core.wsgi:get_wsgi_application()"
        bind = f"127.0.0.1:{self.port}"
        return [HERE / ".venv/bin/gunicorn", "--workers=2", "--threads=4", "--keep-alive=60", f"--bind={bind}", app]


ALL = [OnSqlite, Quiet, OnPostgres, PoemEcho, PoemOpenapiEcho, HyperEcho, Django]
