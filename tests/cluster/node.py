"""A node of the cluster: a member of etcd, and Patroni, which runs PostgreSQL."""

import base64
import json
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from example import example
from namespaces import Namespace
from postgres import binaries

# The unprivileged user of all processes of a node. PostgreSQL rejects root.
USER = "postgres"
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
PASSWORDS = {name: f"the-password-of-{name.lower()}" for name in ["RESTAPI", "REPLICATOR", "REWIND"]}
NODES = {f"node{number}": f"10.0.0.{number}" for number in (1, 2, 3)}
# Shorter times than in production, for faster tests. Patroni 3.0.2 has no lower limit of `ttl`.
TIMES = {"ttl: 20\n": "ttl: 10\n", "loop_wait: 5\n": "loop_wait: 1\n", "retry_timeout: 7\n": "retry_timeout: 4\n"}
FIRST = "node1"
# The logs are removed with the suite, unless CLUSTER_LOGS names another folder.
LOGS = Path(os.environ.get("CLUSTER_LOGS") or os.environ["TMPDIR"])
LOGS.mkdir(parents=True, exist_ok=True)


class Node:
    def __init__(self, name, folder, authority):
        self.name, self.address = name, NODES[name]
        self.machine = Namespace(name, self.address)
        self.folder = folder / name
        self.folder.mkdir()
        self.etcd = self.patroni = None
        authority.issue(self.folder / "tls", self.address, USER)
        for private in ("etcd", "run", "postgresql"):
            (self.folder / private).mkdir(mode=0o700)
            shutil.chown(self.folder / private, USER)
        self.tls = ssl.create_default_context(cafile=authority.certificate)
        # etcd accepts only clients with a certificate.
        self.tls.load_cert_chain(self.folder / "tls/node.crt", self.folder / "tls/node.key")
        config = self.folder / "config.yml"
        config.write_text(example("postgresql/patroni.yml", self.changes()))
        shutil.chown(config, USER)
        config.chmod(0o600)

    def changes(self):
        own = {f"name: {FIRST}": f"name: {self.name}"}
        for setting in ("listen", "connect_address"):
            for port in (5432, 8008):
                own[f"{setting}: {NODES[FIRST]}:{port}"] = f"{setting}: {self.address}:{port}"
        paths = {
            "/etc/patroni/tls": str(self.folder / "tls"),
            "/var/lib/postgresql/15/signet": str(self.folder / "postgresql/data"),
            "/var/lib/postgresql/patroni.pgpass": str(self.folder / "postgresql/pgpass"),
            "/usr/lib/postgresql/15/bin": str(binaries()),
            "/var/run/postgresql": str(self.folder / "run"),
        }
        # A test must not reset the machine.
        watchdog = {"mode: automatic": "mode: off"}
        passwords = {f"CHANGE_ME_{name}": password for name, password in PASSWORDS.items()}
        return own | paths | watchdog | passwords | TIMES

    def launch(self, name, *command):
        """Starts a process on the node, which appends to the log of this name."""
        with self.log(name).open("ab") as log:
            command = [*self.machine.inside, *AS_USER, *map(str, command)]
            # The libraries of PostgreSQL look for certificates in the home folder.
            environment = os.environ | {"HOME": str(self.folder / "run")}
            return subprocess.Popen(command, cwd="/", env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start_etcd(self):
        tls = self.folder / "tls"
        members = ",".join(f"{name}=http://{address}:2380" for name, address in NODES.items())
        clients, peers = f"https://{self.address}:2379", f"http://{self.address}:2380"
        options = {
            "name": self.name,
            "data-dir": self.folder / "etcd",
            "initial-cluster": members,
            "initial-advertise-peer-urls": peers,
            "listen-peer-urls": peers,
            "advertise-client-urls": clients,
            "listen-client-urls": clients,
            "cert-file": tls / "node.crt",
            "key-file": tls / "node.key",
            "trusted-ca-file": tls / "ca.crt",
            "client-cert-auth": "true",
            "enable-v2": "true",
            "pre-vote": "true",
            # Shorter than the default, like the times of Patroni, which must outlast an election.
            "heartbeat-interval": 50,
            "election-timeout": 500,
        }
        self.etcd = self.launch("etcd", "etcd", *(f"--{name}={value}" for name, value in options.items()))

    def start_patroni(self):
        self.patroni = self.launch("patroni", "patroni", self.folder / "config.yml")

    def kill(self):
        """Kills Patroni and all processes of PostgreSQL. Patroni alone would restart PostgreSQL, without a failover."""
        self.machine.kill(spared=[self.etcd.pid])
        self.patroni.wait()

    def kill_etcd(self):
        self.etcd.kill()
        self.etcd.wait()

    def freeze(self):
        self.machine.freeze(spared=[self.etcd.pid])

    def ask(self, method, path, body=None, port=8008):
        """Sends a request to Patroni, or to etcd (port 2379). Returns the status and the body, or None without a response."""
        login = base64.b64encode(f"patroni:{PASSWORDS['RESTAPI']}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"} if method == "POST" else {}
        url = f"https://{self.address}:{port}{path}"
        request = urllib.request.Request(url, body and json.dumps(body).encode(), headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10 if method == "POST" else 1, context=self.tls) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None

    def is_leader(self):
        """Returns whether Patroni reports that this node is the leader and accepts writes."""
        answer = self.ask("GET", "/primary")
        return answer is not None and answer[0] == 200

    def leads_etcd(self):
        answer = self.ask("POST", "/v3/maintenance/status", {}, port=2379)
        if answer is None or answer[0] != 200:
            return False
        status = json.loads(answer[1])
        return status["header"]["member_id"] == status.get("leader")

    def sql(self, text, database="postgres", timeout=20):
        """Runs a statement as the superuser, through the socket of the node. Returns the rows as text."""
        psql = [binaries() / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", self.folder / "run", "-d", database, "-c", text]
        command = [*self.machine.inside, *AS_USER, *map(str, psql)]
        done = subprocess.run(command, cwd="/", text=True, capture_output=True, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr}")
        return done.stdout.strip()

    def writes(self):
        """Returns whether the node acknowledges a write now."""
        try:
            self.sql("INSERT INTO written VALUES (DEFAULT)", timeout=1.5)
        except (RuntimeError, subprocess.TimeoutExpired):
            return False
        return True

    def log(self, name):
        return LOGS / f"{self.name}-{name}.log"

    def logs(self):
        """Returns the ends of the logs."""
        tails = []
        for name in ("patroni", "etcd"):
            lines = self.log(name).read_text(errors="replace").splitlines()
            tails.append("\n".join([f"--- {self.name} {name}", *lines[-25:]]))
        return "\n".join(tails)
