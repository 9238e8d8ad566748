"""Tests Signet together with a Django service: tokens, imports, `verify-compat`, and docs/guides/moving-from-django.md."""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent.resolve()
sys.path.insert(0, str(HERE.parent))
from postgres import Postgres, free_port  # noqa: E402

ROOT = HERE.parent.parent
SIGNET = os.environ["SIGNET"]
OLD_PYTHON = HERE / ".venv-old/bin/python"
NEW_PYTHON = HERE / ".venv-new/bin/python"
SECRET = "reference-oracle-secret-key-0123456789abcdefghijklmnopqrstuvwxyz"
EMAIL, PASSWORD = "jonhdoeqa@email.com", "1234ABCD"


def post(url, path, body):
    request = urllib.request.Request(
        f"{url}/v1/auth/jwt/{path}/",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def obtain(url, email=EMAIL, password=PASSWORD):
    return post(url, "obtain", {"email": email, "password": password})


def refresh(url, token):
    return post(url, "refresh", {"token": token})


def timeless(body):
    """Replaces the token of a response by its claims without times, and by the difference between `exp` and `orig_iat`."""
    if isinstance(body, dict) and "token" in body and "type" in body:
        claims = body["token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        lifetime = claims.pop("exp") - claims.pop("orig_iat")
        return body | {"token": [claims, lifetime]}
    return body


def wait_for(url, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the process exited with {process.returncode} before it listened")
        try:
            urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"no response from {url}")


class Home:
    """A folder with a running Django service. Signet runs in the same folder."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp())
        for name in ["manage.py", "settings.py", "refapi"]:
            copy = shutil.copytree if (HERE / "service" / name).is_dir() else shutil.copy
            copy(HERE / "service" / name, self.folder / name)
        self.environment = {
            "PATH": f"{self.folder}/bin:{OLD_PYTHON.parent}:{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DJANGO_SECRET": SECRET,
            "DJANGO_DATABASE": str(self.folder / "django.sqlite3"),
            "SIGNET_ARGON2_MEMORY_KIB": "1024",
        }
        (self.folder / "bin").mkdir()
        (self.folder / "bin/signet").symlink_to(SIGNET)
        dump = json.loads((ROOT / "tests/contract/django-dump.json").read_text())
        users = [user for user in dump if user["model"] == "refapi.user"]
        (self.folder / "fixture.json").write_text(json.dumps(users))
        self.manage("migrate", "--verbosity=0")
        self.manage("loaddata", "--verbosity=0", "fixture.json")
        port = free_port()
        self.old = f"http://127.0.0.1:{port}"
        self.processes = []
        django = self.start(OLD_PYTHON, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}")
        wait_for(self.old, django)

    def start(self, *command, **environment):
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def manage(self, *arguments):
        command = [OLD_PYTHON, "manage.py", *arguments]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True)

    def signet(self, *arguments, input=None, **environment):
        return subprocess.run(
            [SIGNET, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            input=input,
            text=True,
            capture_output=True,
        )

    def serve(self, **environment):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = {"SIGNET_JWT_SECRET": SECRET} | environment
        process = self.start(SIGNET, "serve", "--listen", f"127.0.0.1:{port}", **environment)
        wait_for(f"{url}/openapi.json", process)
        return url

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder)


class Together(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.addClassCleanup(cls.home.close)
        # Reads the database of Django directly.
        imported = cls.home.signet(
            "user", "import", "--from-database", "sqlite:django.sqlite3", "--table", "refapi_user"
        )
        assert imported.stdout.startswith("28 added, 0 updated, 0 unchanged, 0 skipped"), imported
        cls.new = cls.home.serve(SIGNET_THROTTLE="off", SIGNET_VERIFY="on")

    def test_tokens_of_either_service_refresh_at_the_other(self):
        for by, at in [(self.home.old, self.new), (self.new, self.home.old)]:
            for email, password in [(EMAIL, PASSWORD), ("CaseUser@example.com", "CasePass1")]:
                status, issued = obtain(by, email, password)
                self.assertEqual(status, 200)
                status, refreshed = refresh(at, issued["token"])
                self.assertEqual((status, list(refreshed)), (200, ["type", "token", "expires_in"]))
                # The first service also accepts the token of the second service.
                self.assertEqual(refresh(by, refreshed["token"])[0], 200)

    def test_a_token_of_another_secret_is_refused_by_both(self):
        other = self.home.serve(SIGNET_JWT_SECRET="x" * 32, SIGNET_THROTTLE="off")
        token = obtain(other)[1]["token"]
        refusal = (400, {"non_field_errors": ["Error decoding signature."]})
        self.assertEqual([refresh(self.home.old, token), refresh(self.new, token)], [refusal] * 2)

    def test_verify_answers_as_djangorestframework_jwt(self):
        token = obtain(self.new)[1]["token"]
        status, verified = post(self.new, "verify", {"token": token})
        self.assertEqual((status, verified["type"], verified["token"]), (200, "JWT", token))
        self.assertEqual(post(self.home.old, "verify", {"token": token})[1]["token"], token)
        claims = {"user_id": 1, "username": EMAIL, "exp": int(time.time()) + 60, "email": EMAIL}
        for changes in [
            {},
            {"orig_iat": 1},
            {"exp": int(time.time()) - 60},
            {"exp": int(time.time()) - 60, "username": "nobody@example.com"},
            {"username": ""},
            {"username": "nobody@example.com"},
        ]:
            command = [OLD_PYTHON, HERE / "pyjwt.py", "make", SECRET, json.dumps(claims | changes)]
            token = subprocess.run(command, text=True, capture_output=True, check=True).stdout.strip()
            self.assert_same_verification({"token": token}, changes)
        header, payload, signature = token.split(".")
        for body in [
            {"token": f"{header}.{payload}.{signature[::-1]}"},
            {"token": "x"},
            {"token": ""},
            {"token": None},
            {},
        ]:
            self.assert_same_verification(body, body)

    def assert_same_verification(self, body, case):
        with self.subTest(case=case):
            (old, expected), (new, answer) = (post(url, "verify", body) for url in [self.home.old, self.new])
            if old == 200:
                expected, answer = expected["token"], answer["token"]
            self.assertEqual((new, answer), (old, expected))

    def test_pyjwt_1_and_2_read_and_make_tokens(self):
        token = obtain(self.new)[1]["token"]
        for python, version in [(OLD_PYTHON, "1.7.1"), (NEW_PYTHON, "2.")]:
            with self.subTest(version=version):

                def pyjwt(*arguments):
                    command = [python, HERE / "pyjwt.py", *arguments]
                    return subprocess.run(command, text=True, capture_output=True, check=True).stdout.strip()

                command = [python, "-c", "import jwt; print(jwt.__version__)"]
                running = subprocess.run(command, text=True, capture_output=True, check=True).stdout
                self.assertTrue(running.startswith(version), running)
                claims = json.loads(pyjwt("read", SECRET, token))
                self.assertEqual(list(claims), ["user_id", "username", "exp", "email", "orig_iat"])
                self.assertEqual((claims["user_id"], claims["username"]), (1, EMAIL))
                status, refreshed = refresh(self.new, pyjwt("make", SECRET, json.dumps(claims)))
                self.assertEqual(status, 200)
                self.assertEqual(json.loads(pyjwt("read", SECRET, refreshed["token"]))["user_id"], 1)
                with tempfile.TemporaryDirectory() as folder:
                    secret = Path(folder, "data/signet.db.secret")
                    secret.parent.mkdir()
                    secret.write_text(f"{SECRET}\n")
                    recipe = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
                    command = [python, "-c", f"token = {token!r}\n{recipe}"]
                    printed = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=True).stdout
                    self.assertEqual(printed, f"1 {EMAIL}\n")

    def test_the_corpus_is_answered_over_the_network(self):
        """Replays every case whose request contains no token. Ignores the times of issued tokens."""
        corpus = json.loads((ROOT / "tests/contract/corpus.json").read_text())
        replayed = 0
        for case in corpus["cases"]:
            request, expect = case["request"], case["expect"]
            body = base64.b64decode(request.get("body_base64") or "") or (request.get("body") or "").encode()
            if b"eyJ" in body:
                continue
            with self.subTest(case["name"]):
                connection = http.client.HTTPConnection(self.new.removeprefix("http://"), timeout=30)
                connection.putrequest(request["method"], request["path"], skip_accept_encoding=True)
                for name, value in request["headers"]:
                    connection.putheader(name, value)
                connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                answer = connection.getresponse()
                text = answer.read()
                connection.close()
                self.assertIn(answer.status, expect.get("status_one_of") or [expect["status"]])
                if wanted := expect.get("body"):
                    self.assertEqual(timeless(json.loads(text)), timeless(wanted))
                if start := expect.get("detail_starts_with"):
                    self.assertTrue(json.loads(text)["detail"].startswith(start), text)
                for name, value in expect.get("headers", {}).items():
                    self.assertEqual(answer.headers[name], value)
                replayed += 1
        self.assertEqual(replayed, 312)

    def compare(self, old, new, *arguments, input=None):
        return self.home.signet("verify-compat", "--old", old, "--new", new, *arguments, input=input)

    def test_the_services_compare(self):
        compared = self.compare(
            self.home.old, self.new, "--email", EMAIL, "--password-stdin", input=f"{PASSWORD}\n"
        )
        self.assertEqual(compared.returncode, 0, compared)
        last = compared.stdout.splitlines()[-1]
        self.assertRegex(last, r"^\d+ the same, 15 differ as expected, 0 differ unexpectedly$")
        self.assertIn("expected    path/unknown: old 404", compared.stdout)
        self.assertNotIn("eyJ", compared.stdout)

    def test_a_service_that_is_no_stand_in_is_found_out(self):
        # Compares Django with itself. Each difference that the contract requires is missing, and therefore unexpected.
        compared = self.compare(self.home.old, self.home.old)
        self.assertEqual(compared.returncode, 1)
        self.assertIn("UNEXPECTED  path/unknown: the new service responds 404", compared.stdout)
        self.assertIn("15 differ unexpectedly", compared.stdout)
        other = self.home.serve(SIGNET_JWT_SECRET="x" * 32, SIGNET_THROTTLE="off")
        compared = self.compare(
            self.home.old, other, "--email", EMAIL, "--password-stdin", input=f"{PASSWORD}\n"
        )
        self.assertEqual(compared.returncode, 1)
        self.assertIn("check that both services have the same secret", compared.stdout)

    def test_a_service_that_throttles_is_told_of(self):
        other = self.home.serve(SIGNET_THROTTLE_ADDRESS="1/1h")
        compared = self.compare(
            self.home.old, other, "--email", EMAIL, "--password-stdin", input=f"{PASSWORD}\n"
        )
        self.assertEqual(compared.returncode, 1)
        self.assertIn("the new service throttles (429): turn that off for the comparison", compared.stderr)


class FromPostgres(unittest.TestCase):
    def test_the_table_of_a_django_service_on_postgresql_comes_in(self):
        postgres = Postgres("django", timezone="Asia/Kolkata")
        self.addCleanup(postgres.close)
        postgres.sql(
            """CREATE TABLE accounts_user (
                id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, password varchar(128) NOT NULL,
                last_login timestamptz NULL, is_superuser boolean NOT NULL, email varchar(254) NOT NULL UNIQUE,
                is_active boolean NOT NULL, date_joined timestamptz NOT NULL)"""
        )
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)

        def signet(*arguments):
            return subprocess.run([SIGNET, *arguments], cwd=folder, env={}, text=True, capture_output=True)

        table = ["user", "import", "--from-database", postgres.url(), "--table"]
        self.assertIn("the table accounts_user is empty", signet(*table, "accounts_user").stderr)
        self.assertIn("there is no table auth_user", signet(*table, "auth_user").stderr)
        postgres.sql(
            """INSERT INTO accounts_user VALUES
                (3, '!', '2018-10-17 00:54:56.125+00', false, 'Jane@example.com', true, '2017-01-01 00:00:00+05:30'),
                (10, '!', NULL, false, 'JANE@example.com', true, '2017-01-01 00:00:00+00'),
                (9007199254740993, '!', NULL, false, 'large@example.com', false, '2017-01-01 00:00:00+00')"""
        )
        for name in ["accounts_user", "public.accounts_user"]:
            imported = signet(*table, name)
            self.assertEqual(imported.returncode, 0, imported)
        self.assertTrue(imported.stdout.startswith("0 added, 0 updated, 2 unchanged, 1 skipped"), imported)
        # Rows are sorted by numeric ID. If two emails collide, the first row is imported.
        self.assertIn("row 2, ID 10: account 3 has the same email", imported.stderr)
        jane, large = json.loads(signet("user", "list", "--json").stdout)
        self.assertEqual((jane["id"], jane["email"], jane["is_active"]), (3, "Jane@example.com", True))
        self.assertEqual(jane["last_login"], "2018-10-17T00:54:56.125Z")
        self.assertEqual(jane["created"], "2016-12-31T18:30:00Z")
        self.assertEqual((large["id"], large["is_active"]), (9007199254740993, False))

        # The table is locked, as during a migration.
        lock = "BEGIN; LOCK TABLE accounts_user IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)"
        holder = subprocess.Popen([postgres.binaries / "psql", "-qAt", "-d", postgres.url(), "-c", lock])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        held = "SELECT count(*) FROM pg_locks WHERE relation = 'accounts_user'::regclass AND granted AND mode = 'AccessExclusiveLock'"
        while postgres.sql(held) == "0":
            self.assertIsNone(holder.poll())
        locked = signet(*table, "accounts_user")
        self.assertEqual(locked.returncode, 1)
        self.assertIn("lock timeout", locked.stderr)


class Hashes(unittest.TestCase):
    def test_the_known_answers_are_django_s(self):
        for python, version in [(OLD_PYTHON, "3.2"), (NEW_PYTHON, "5.2")]:
            made = subprocess.run([python, HERE / "hashes.py"], capture_output=True, check=True).stdout
            kept = ROOT / f"tests/contract/hashes/django-{version}.jsonl"
            self.assertEqual(made, kept.read_bytes(), f"python hashes.py > {kept.name}")


class RunBook(unittest.TestCase):
    def test_every_command_works_as_it_stands(self):
        home = Home()
        self.addCleanup(home.close)
        text = (ROOT / "docs/guides/moving-from-django.md").read_text()
        commands = re.findall(r"^```bash\n(.*?)^```$", text, re.M | re.S)
        self.assertGreaterEqual(len(commands), 9)
        self.assertEqual(text.count("```") // 2, len(commands), "the page has other code blocks")
        port = free_port()
        new = f"http://127.0.0.1:{port}"
        issued = obtain(home.old)[1]["token"]
        # The shell prints a marker after each step, so that the test can send requests between the steps.
        marks = [f"{command}\necho done {number}\n" for number, command in enumerate(commands)]
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail"],
            cwd=home.folder,
            env=home.environment
            | {"OLD": home.old, "NEW": new, "LISTEN": f"127.0.0.1:{port}", "EMAIL": EMAIL, "PASSWORD": PASSWORD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(shell.wait)
        self.addCleanup(shell.stdin.close)
        self.addCleanup(shell.stdout.close)

        def run(number):
            shell.stdin.write(marks[number])
            shell.stdin.flush()
            output = ""
            for line in shell.stdout:
                if line == f"done {number}\n":
                    return output
                output += line
            self.fail(f"the shell exited in step {number}:\n{commands[number]}{output}")

        output = [run(number) for number in range(len(commands) - 2)]
        self.addCleanup(lambda: os.kill(int((home.folder / "signet.pid").read_text()), signal.SIGKILL))
        self.assertTrue(any("28 added" in text for text in output), output)
        self.assertTrue(any("0 differ unexpectedly" in text for text in output), output)
        status, refreshed = refresh(new, issued)
        self.assertEqual(status, 200)
        run(len(commands) - 2)
        deadline = time.monotonic() + 30
        # Retries until the service has handled SIGHUP and uses the new secret.
        while refresh(home.old, refresh(new, issued)[1]["token"])[0] == 200:
            self.assertLess(time.monotonic(), deadline)
        status, rotated = refresh(new, refreshed["token"])
        self.assertEqual(status, 200, "tokens of the old secret must still refresh")
        run(len(commands) - 1)
        while refresh(new, refreshed["token"])[0] == 200:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(refresh(new, rotated["token"])[0], 200)


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=2).result
    failed = len(outcome.failures) + len(outcome.errors)
    print(f"{outcome.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
