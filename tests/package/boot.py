#!/usr/bin/env python3
"""A Debian of a test's own, which systemd has booted: it does with our package what a machine would.

It is namespaces and a cgroup; its network is a loopback of its own. Its end takes everything along. It takes root, and
cgroup2. CACHE is a folder for the root that it starts from. As a command, it runs another one inside:

    boot.py CACHE systemctl status
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
NAMESPACES = ["--mount", "--pid", "--uts", "--ipc", "--net"]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def until(seconds, what, ask):
    """Asks until there is an answer."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.02)
    return answer


def remove(group):
    """Ends all that is in a cgroup, and removes it."""

    def gone():
        (group / "cgroup.kill").write_text("1")
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        return not group.exists()

    until(20, "the end of every process", gone)


class Machine(AbstractContextManager):
    """It is up, and every unit well, when this is made. `root` is its file system, as seen from outside."""

    def __init__(self, cache):
        subprocess.run([HERE / "make-root", cache], check=True, stdout=sys.stderr)
        mounts = map(str.split, Path("/proc/self/mounts").read_text().splitlines())
        groups = Path(next(mount[1] for mount in mounts if mount[2] == "cgroup2"))
        for group in groups.glob("signet-boot-*"):
            if not Path("/proc", group.name.rpartition("-")[2], "exe").exists():
                remove(group)  # Its machine was killed.
        self.group = groups / f"signet-boot-{os.getpid()}"
        self.console = tempfile.TemporaryFile("w+")
        self.process = None
        try:
            self.group.mkdir()
            enter = f'echo 0 >"{self.group}/cgroup.procs"; exec unshare --cgroup bash "$0"'
            streams = {"stdin": subprocess.DEVNULL, "stdout": self.console, "stderr": subprocess.STDOUT}
            unshare = ["setpriv", "--pdeathsig=KILL", "unshare", *NAMESPACES, "--fork", "--kill-child"]
            command = [*unshare, "bash", "-euc", enter, HERE / "init"]
            self.process = subprocess.Popen(command, cwd=cache, start_new_session=True, **streams)
            until(20, "systemd", (self.group / "init.scope").exists)
            # Its first process, by the number that it has out here.
            self.first = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().strip()
            self.root = Path("/proc", self.first, "root")
            state = until(60, "a machine that is up", self.state)
            assert state == "running", self.run("systemctl", "--failed", "--no-legend").stdout
        except BaseException:
            self.console.seek(0)
            print(self.console.read(), file=sys.stderr)
            self.__exit__()
            raise

    def state(self):
        state = self.run("systemctl", "is-system-running").stdout.strip()
        return state in ("running", "degraded", "maintenance") and state

    def command(self, *command, enter=(*NAMESPACES, "--cgroup"), seconds=60):
        return ["nsenter", f"--target={self.first}", *enter, "--", "timeout", "-k1", f"{seconds}", *map(str, command)]

    def run(self, *command, input="", seconds=60):
        """Runs a command inside; what is returned has its exit code, and both outputs, as text."""
        command = self.command(*command, seconds=seconds)
        return subprocess.run(command, env=ENVIRONMENT, input=input, text=True, capture_output=True)

    def ask(self, *command, seconds=60):
        """Runs a command of the machine outside, such as curl, in the network of this one."""
        command = self.command(*command, enter=["--net"], seconds=seconds)
        return subprocess.run(command, stdin=subprocess.DEVNULL, text=True, capture_output=True)

    def __exit__(self, *_):
        if self.group.exists():
            remove(self.group)
        if self.process:
            self.process.wait(20)
        self.console.close()


def main(cache, *command):
    # Its end is ours: what is interrupted is removed, too. Once: `timeout` sends its signal twice.
    def end(number, _):
        for again in SIGNALS:
            signal.signal(again, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in SIGNALS:
        signal.signal(number, end)
    with Machine(Path(cache).resolve()) as machine:
        return subprocess.run(machine.command(*command, seconds=3600), env=ENVIRONMENT).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
