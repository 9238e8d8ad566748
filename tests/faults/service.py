"""The service under test: its folder, settings, process and commands."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from poll import until

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from postgres import free_port  # noqa: E402

SIGNET = os.environ["SIGNET"]
SECRET = "a-secret-of-the-fault-suite-0123456789abcdefghijklmnopqrstuvwxyz"
PASSWORD = "correct horse"
OBTAIN, REFRESH = "/v1/auth/jwt/obtain/", "/v1/auth/jwt/refresh/"
# Time limit of a request for the database, in seconds.
WAIT = 1


class Service:
    """Runs `signet serve`. `inside` is a command that runs the service, for example in a mount namespace. `host` is the address of the
    service."""

    def __init__(self, database="sqlite:data/signet.db", inside=(), host="127.0.0.1", **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="signet-faults-"))
        self.host, self.port, self.admin_port = host, free_port(), free_port()
        self.inside = inside
        self.process = None
        # The log is a file, because a pipe without a reader would block the service.
        self.log = self.folder / "log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "SIGNET_LISTEN": f"{host}:{self.port}",
            "SIGNET_ADMIN_LISTEN": f"{host}:{self.admin_port}",
            "SIGNET_DATABASE_URL": database,
            "SIGNET_DATABASE_WAIT": str(WAIT),
            "SIGNET_JWT_SECRET": SECRET,
            # Cheap hashes allow more logins per second, and therefore more chances to find a bug.
            "SIGNET_ARGON2_MEMORY_KIB": "32",
            "SIGNET_ARGON2_ITERATIONS": "1",
            "SIGNET_THROTTLE": "off",
            "SIGNET_LOG": "signet::cli=info",
        } | settings

    def command(self, *arguments, input=None):
        """Runs another command of the binary, with the same settings."""
        return subprocess.run(
            [*self.inside, SIGNET, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=input,
            text=True,
            capture_output=True,
            timeout=60,
        )

    def add(self, *emails):
        for email in emails:
            added = self.command("user", "create", email, "--password-stdin", input=PASSWORD)
            assert added.returncode == 0, added

    def emails(self):
        """Returns the emails of all accounts."""
        listed = self.command("user", "list", "--json")
        assert listed.returncode == 0, listed
        return {account["email"] for account in json.loads(listed.stdout)}

    def launch(self):
        with self.log.open("ab") as log:
            command = [*self.inside, SIGNET, "serve"]
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stderr=log)

    def start(self):
        self.launch()
        until(self.answers, lambda: f"the service responds; log: {self.log.read_text()}")

    def answers(self):
        assert self.process.poll() is None, f"the service exited with {self.process.returncode}; log: {self.log.read_text()}"
        try:
            return self.ask("GET", OBTAIN)[0] == 405
        except ConnectionRefusedError:
            return False

    def ask(self, method, path, body=None, port=None):
        """Sends a request. Returns the status and the body of the response."""
        connection = http.client.HTTPConnection(self.host, port or self.port, timeout=10)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def obtain(self, email, password=PASSWORD):
        return self.ask("POST", OBTAIN, {"email": email, "password": password})

    def refresh(self, token):
        return self.ask("POST", REFRESH, {"token": token})

    def probe(self, path):
        """Returns the status of a path on the admin port."""
        return self.ask("GET", path, port=self.admin_port)[0]

    def sockets(self):
        """Returns the number of open sockets of the service."""
        count = 0
        for file in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                count += os.readlink(file).startswith("socket:")
            except FileNotFoundError:
                pass  # The service closed the file during the loop.
        return count

    def memory_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Stops the service with SIGTERM. Returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self):
        if self.process:
            self.kill()
        said = self.log.read_text() if self.log.exists() else ""
        shutil.rmtree(self.folder)
        assert "panicked" not in said, said


def running(cleanup, *emails, **settings):
    """Starts a service with these accounts. `cleanup` registers the function that stops the service."""
    service = Service(**settings)
    cleanup(service.close)
    service.add(*emails)
    service.start()
    return service
