"""What is around the containers: the database and the names, once for all of them, and the load balancer."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from target import REPOSITORY

sys.path[1:1] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests/faults")]
import postgres  # noqa: E402
from poll import until  # noqa: E402
from proxy import Proxy  # noqa: E402

# Where Docker answers for names.
NAMES = "127.0.0.11"
# `haproxy` of the image.
HAPROXY = 99
# The superuser of tests/postgres.py may come without a password, and the service's role may not.
WHO_MAY = "host all postgres all trust\nhost signet signet all scram-sha-256\n"


class Database:
    """A server at the usual port, which is free in a network of our own."""

    def __init__(self) -> None:
        postgres.free_port = lambda: 5432
        self.server = postgres.Postgres(user="postgres")
        (self.server.data / "pg_hba.conf").write_text(WHO_MAY)
        self.server.sql("SELECT pg_reload_conf()")
        self.server.sql("CREATE ROLE signet LOGIN")

    def renew(self, password: str) -> None:
        """An empty database, whose owner has this password."""
        self.server.sql("DROP DATABASE IF EXISTS signet WITH (FORCE)")
        self.server.sql(f"ALTER ROLE signet PASSWORD '{password}'")
        self.server.sql("CREATE DATABASE signet OWNER signet")

    def version(self) -> str:
        return self.server.sql("SHOW server_version").split()[0]


@contextmanager
def names(addresses: dict[str, str]) -> Iterator[None]:
    """Answers for these names, as Docker and Kubernetes do."""
    with tempfile.TemporaryDirectory() as folder:
        hosts = Path(folder, "hosts")
        hosts.write_text("".join(f"{address} {name}\n" for name, address in addresses.items()))
        files = ["--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--addn-hosts={hosts}", "--pid-file="]
        where = [f"--listen-address={NAMES}", "--bind-interfaces", "--user=root", "--keep-in-foreground"]
        server = subprocess.Popen(["dnsmasq", *files, *where, "--log-facility=-"], stderr=subprocess.DEVNULL)
        try:
            until(lambda: connects(NAMES, 53), "dnsmasq answers")
            yield
        finally:
            server.kill()
            server.wait()


def connects(address: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((address, port)) == 0


class Balancer(Proxy):
    """HAProxy, with the very configuration of compose.yaml, and a socket to look in by."""

    def __init__(self, config: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="signet-containers-"))
        self.port = 8080
        shutil.copy(config, self.folder / "config")
        (self.folder / "look").write_text(f"global\n    stats socket {self.folder}/stats mode 600\n")
        os.chown(self.folder, HAPROXY, HAPROXY)
        with (self.folder / "log").open("w") as log:
            command = ["haproxy", "-db", "-f", self.folder / "config", "-f", self.folder / "look"]
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, user=HAPROXY, group=HAPROXY, extra_groups=[]
            )
