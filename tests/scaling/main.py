"""What a login and a refresh cost: in processor time, of the service and of the database, and in memory.

Processor time is counted by the kernel, process by process: it stays the same when a machine has other things to
do, and tells what one core can do however many there are.
"""

import http.client
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent.resolve()
sys.path.insert(0, str(HERE.parent))
from postgres import Postgres, free_port  # noqa: E402

SIGNET = os.environ["SIGNET"]
PAGE = HERE.parent.parent / "docs/scaling.md"
START, END = "<!-- measured -->", "<!-- /measured -->"
EMAIL, PASSWORD = "jonhdoeqa@email.com", "1234ABCD"
SECONDS = 10
IDLE = 4000


def processor_seconds(process):
    """What it has used so far; of one that has ended, nothing more is known."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class Service:
    """A service with one account, on a store of its own."""

    def __init__(self, folder, **settings):
        self.port = free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "SIGNET_LISTEN": f"127.0.0.1:{self.port}",
            "SIGNET_JWT_SECRET": "measured-with-a-secret-of-no-account-0123456789",
            "SIGNET_LOG": "error",
            # A login waits for a thread of its own: it is the cost that is measured, not the refusal.
            "SIGNET_HASHING_WAIT": "60",
        } | settings
        command = [SIGNET, "user", "add", EMAIL, "--password-stdin", "--force"]
        subprocess.run(command, cwd=folder, env=self.environment, input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen([SIGNET, "serve"], cwd=folder, env=self.environment)
        while not self.answers():
            time.sleep(0.01)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def post(self, operation, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", f"/v1/auth/jwt/{operation}/", json.dumps(body), {"Content-Type": "application/json"})
        return json.load(connection.getresponse())

    def memory_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def storm(self, operation, body, clients):
        """How many requests were answered, all of them rightly."""
        command = ["wrk", "-t", "1", "-c", str(clients), "-d", f"{SECONDS}s", "--timeout", "60s", "-s", HERE / "post.lua"]
        url = f"http://127.0.0.1:{self.port}/v1/auth/jwt/{operation}/"
        environment = os.environ | {"BODY": json.dumps(body)}
        told = subprocess.run([*command, url], env=environment, text=True, capture_output=True, check=True).stdout
        if "Non-2xx" in told or "Socket errors" in told:
            raise RuntimeError(told)
        return int(re.search(r"(\d+) requests in", told)[1])

    def close(self):
        self.process.terminate()
        self.process.wait()


def measured(service, operation, body, clients, postgres):
    """Milliseconds of the service and of the database for one request, and how many transactions it took."""
    database = lambda: sum(map(processor_seconds, postgres.processes())) if postgres else 0
    committed = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'signet'"
    transactions = lambda: int(postgres.sql(committed)) if postgres else 0
    service.storm(operation, body, clients)  # Connections are open, pages are warm.
    before = processor_seconds(service.process.pid), database(), transactions()
    requests = service.storm(operation, body, clients)
    time.sleep(1 if postgres else 0)  # A backend tells of its transactions once a second.
    after = processor_seconds(service.process.pid), database(), transactions()
    own, theirs, count = ((late - early) / requests for early, late in zip(before, after))
    return own * 1000, theirs * 1000, count


def rows(store, service, postgres=None):
    token = service.post("obtain", {"email": EMAIL, "password": PASSWORD})["token"]
    for name, operation, body, clients in [
        ("refresh", "refresh", {"token": token}, 16),
        ("login", "obtain", {"email": EMAIL, "password": PASSWORD}, 8),
    ]:
        own, theirs, transactions = measured(service, operation, body, clients, postgres)
        database = f"{theirs:.3f} ms | {transactions:.1f}" if postgres else "in the service | -"
        yield f"| {name} | {store} | {own:.3f} ms | {1000 / own:,.0f} | {database} |"


def memory(service):
    """KiB of the service as it is, and of each connection on which a request has begun."""
    before = service.memory_kib()
    open = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(IDLE)]
    for connection in open:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"[:20])
    while service.post("refresh", {}) != {"token": ["This field is required."]}:
        pass
    each = (service.memory_kib() - before) / IDLE
    for connection in open:
        connection.close()
    return before, each


def main():
    folder = Path(tempfile.mkdtemp())
    postgres = Postgres(fsync="on")
    try:
        postgres.sql("CREATE DATABASE signet")
        service = Service(folder)
        start, each = memory(service)
        lines = list(rows("SQLite", service))
        service.close()
        service = Service(folder, SIGNET_DATABASE_URL=postgres.url("signet"))
        lines += rows("PostgreSQL", service, postgres)
        service.close()
    finally:
        postgres.close()
        shutil.rmtree(folder)
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    table = f"""{START}
Processor time of one request, on {os.cpu_count()} cores of {model[1] if model else platform.machine()}:

| request | store | the service | a second and core | the database | transactions |
|---|---|---|---|---|---|
{chr(10).join(lines)}

Memory: {start / 1024:.0f} MiB to start with, {each:.1f} KiB for each connection that is being talked on, and [a fraction](../bench/results.md) of
it for one that rests.
{END}"""
    print(table)
    page = PAGE.read_text()
    PAGE.write_text(page[: page.index(START)] + table + page[page.index(END) + len(END) :])


main()
