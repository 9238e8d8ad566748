"""HAProxy in front of the cluster, and in front of the replicas of the service."""

import csv
import socket
import subprocess

from example import example
from namespaces import Namespace
from node import LOGS
from poll import until

ADDRESS = "10.0.0.10"
# The cluster, the replicas, and a fixed node.
POSTGRES, CLIENTS, FIXED = 5432, 8080, 5433
# A proxy without health checks. `point` changes the node, and existing connections stay open.
EXTRA = """\
global
    stats socket {folder}/stats mode 600 level admin
listen fixed
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    bind {address}:{port}
    server node {node}:5432
"""


class Balancer:
    def __init__(self, cluster, replicas, folder):
        self.folder = folder
        self.machine = Namespace("balancer", ADDRESS)
        self.cluster = {
            "bind 127.0.0.1:5432": f"bind {ADDRESS}:{POSTGRES}",
            "/etc/haproxy/patroni-ca.crt": str(cluster.authority.certificate),
            "log /dev/log local0 notice": "log stdout format raw local0 notice",
        }
        self.replicas = {
            "bind :8080": f"bind {ADDRESS}:{CLIENTS}",
            " resolvers docker init-addr none": "",
            # One process reads both files, and these lines are in both.
            "    log stdout format raw local0 notice\n": "",
            "    maxconn 4000\n": "",
        }
        for name, replica in zip(("one", "two"), replicas):
            server = f"{replica.host}:{replica.port} port {replica.admin_port}"
            self.replicas[f"server {name} signet-{name}:8000"] = f"server {name} {server}"
        extra = EXTRA.format(folder=folder, address=ADDRESS, port=FIXED, node=cluster.nodes[0].address)
        files = {
            "cluster.cfg": example("postgresql/haproxy.cfg", self.cluster),
            "replicas.cfg": example("containers/haproxy.cfg", self.replicas),
            "extra.cfg": extra,
        }
        command = [*self.machine.inside, "haproxy", "-db"]
        for name, text in files.items():
            (folder / name).write_text(text)
            command += ["-f", str(folder / name)]
        with (LOGS / "haproxy.log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self.listens, lambda: f"HAProxy listens: {self.log()}")

    def log(self):
        return (LOGS / "haproxy.log").read_text()

    def listens(self):
        assert self.process.poll() is None, self.log()
        with socket.socket() as connection:
            connection.settimeout(2)
            return connection.connect_ex((ADDRESS, POSTGRES)) == 0

    def command(self, text):
        """Sends a command to HAProxy. Returns the response."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.folder / "stats"))
            connection.sendall(f"{text}\n".encode())
            return connection.makefile().read()

    def has_leader(self):
        """Returns whether exactly one node is the leader for HAProxy."""
        servers = csv.DictReader(self.command("show stat postgresql 4 -1").removeprefix("# ").splitlines())
        return sum(server["status"].startswith("UP") for server in servers) == 1

    def point(self, node):
        """Changes the node of the proxy without checks, for new connections."""
        told = self.command(f"set server fixed/node addr {node.address} port 5432")
        assert "changed" in told or "no need" in told, told
