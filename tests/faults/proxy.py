"""Runs HAProxy in front of replicas of the service."""

import csv
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from poll import until
from service import free_port

CONFIG = """\
global
    stats socket {folder}/stats mode 600
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 5s
    option redispatch 1
    {retries}
frontend signet
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 200ms fall 1 rise 1
"""
# If a replica stops after a signal, the proxy needs no retries.
NO_RETRIES = "retries 0"
# If a replica is killed, its requests fail. HAProxy may repeat logins and refreshes, because a token without a receiver has no effect.
# HAProxy repeats only requests that it has received completely.
RETRIES = """\
option http-buffer-request
    retries 3
    retry-on conn-failure empty-response response-timeout"""


class Proxy:
    """Sends each request to the next ready replica. The name of a replica is its index."""

    def __init__(self, replicas, retries):
        self.folder = Path(tempfile.mkdtemp(prefix="signet-faults-"))
        self.port = free_port()
        config = CONFIG.format(folder=self.folder, port=self.port, retries=retries)
        for number, replica in enumerate(replicas):
            config += f"    server {number} 127.0.0.1:{replica.port} port {replica.admin_port}\n"
        (self.folder / "config").write_text(config)
        with (self.folder / "log").open("w") as log:
            command = ["haproxy", "-db", "-f", self.folder / "config"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def servers(self):
        """Returns the statistics of HAProxy for each replica."""
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            try:
                connection.connect(str(self.folder / "stats"))
            except (FileNotFoundError, ConnectionRefusedError):
                return []  # HAProxy has not opened its socket yet.
            connection.sendall(b"show stat replicas 4 -1\n")
            told = connection.makefile().read().removeprefix("# ")
        return list(csv.DictReader(told.splitlines()))

    def until_ready(self):
        """Waits until the health check of each replica succeeds."""

        def states():
            return [(server["status"], server["check_status"]) for server in self.servers()]

        def ready():
            return set(states()) == {("UP", "L7OK")}

        until(ready, lambda: f"all replicas are ready in HAProxy: {states()}")

    def under_way(self, number):
        """Returns the number of requests that this replica processes now."""
        return int(self.servers()[number]["scur"])

    def count(self, column):
        """Returns the sum of a column over all replicas."""
        return sum(int(server[column]) for server in self.servers())

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)
