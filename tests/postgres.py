"""A PostgreSQL of a test's own: port, socket and folder are private, and all of it goes with the test.

As a command, it runs another beside such a server, and says in SIGNET_TEST_POSTGRES where that is:

    python3 tests/postgres.py cargo test
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def binaries():
    """The folder of `initdb`: where the PATH says, or the newest of Debian's, which are not on it. Or none."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    candidates = [Path(found).resolve().parent] if found else [path.parent for path in debian]
    return candidates[-1] if candidates else None


class Postgres:
    """A server, which has started when this is made. It refuses to run as root: then another user runs it."""

    def __init__(self, user="signet", **settings):
        self.binaries = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="signet-postgres-"))
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.as_user:
            os.chown(self.folder, *pwd.getpwnam("postgres")[2:4])
        self.user, self.port = user, free_port()
        self.data = self.folder / "data"
        self.settings = {
            "port": self.port,
            "unix_socket_directories": self.folder,
            "listen_addresses": "127.0.0.1",
            "max_connections": 200,
            # The machine does not fail, only processes do.
            "fsync": "off",
        } | settings
        self.run("initdb", "-D", self.data, "-U", user, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        self.start()

    def url(self, database="postgres"):
        return f"postgres://{self.user}@127.0.0.1:{self.port}/{database}"

    def start(self):
        settings = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        self.run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-o", settings, "start")

    def stop(self, mode="fast"):
        self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def processes(self):
        """The server, and all that it has forked."""
        server = int((self.data / "postmaster.pid").read_text().split()[0])
        forked = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server)], text=True, capture_output=True)
        return [server, *map(int, forked.stdout.split())]

    def signal(self, number):
        for process in self.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass

    def run(self, name, *arguments):
        command = [*self.as_user, self.binaries / name, *arguments]
        # Its log is a file: the server would keep a pipe open.
        subprocess.run([str(part) for part in command], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def sql(self, text, database="postgres"):
        """Runs a statement; returns what it selects, as text."""
        command = [self.binaries / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", text]
        return subprocess.run(command, text=True, capture_output=True, check=True).stdout.strip()

    def close(self):
        try:
            self.signal(signal.SIGCONT)
            self.stop("immediate")
        except (FileNotFoundError, subprocess.CalledProcessError):
            pass  # It has stopped already.
        shutil.rmtree(self.folder)


def main(command):
    if binaries() is None:
        print("THERE IS NO POSTGRESQL: its half of the tests is left out. Install Debian's `postgresql`.", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    # Its end is ours: what is interrupted is removed, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    postgres = Postgres()
    try:
        return subprocess.run(command, env=os.environ | {"SIGNET_TEST_POSTGRES": postgres.url()}).returncode
    except KeyboardInterrupt:
        return 130
    finally:
        postgres.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
