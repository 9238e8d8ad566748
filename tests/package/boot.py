#!/usr/bin/env python3
"""Boots a Debian with systemd for a test. Packages behave in this system as on a real machine.

The system runs in separate namespaces and a cgroup. Its network has only a loopback interface. When the system stops, all its processes
and files are removed. This module needs root privileges and cgroup2. CACHE is a folder for the root file system, which is built once.
As a program, this module runs a command in such a system:

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
    """Calls `ask` until the result is true, and returns the result. Fails after the given number of seconds."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"timeout after {seconds} s: {what}"
        time.sleep(0.02)
    return answer


def remove(group):
    """Kills all processes of a cgroup, and removes the cgroup."""

    def gone():
        (group / "cgroup.kill").write_text("1")
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        return not group.exists()

    until(20, "removal of the cgroup", gone)


class Machine(AbstractContextManager):
    """A booted system. The constructor returns when all units are up. `root` is the path of its file system on the host."""

    def __init__(self, cache):
        subprocess.run([HERE / "make-root", cache], check=True, stdout=sys.stderr)
        mounts = map(str.split, Path("/proc/self/mounts").read_text().splitlines())
        groups = Path(next(mount[1] for mount in mounts if mount[2] == "cgroup2"))
        for group in groups.glob("signet-boot-*"):
            if not Path("/proc", group.name.rpartition("-")[2], "exe").exists():
                remove(group)  # The process that started this system was killed.
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
            until(20, "start of systemd", (self.group / "init.scope").exists)
            # The ID of the first process of the system on the host.
            self.first = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().strip()
            self.root = Path("/proc", self.first, "root")
            state = until(60, "boot of the system", self.state)
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
        """Runs a command in the system. The result has the exit code, and the output as text."""
        command = self.command(*command, seconds=seconds)
        return subprocess.run(command, env=ENVIRONMENT, input=input, text=True, capture_output=True)

    def ask(self, *command, seconds=60):
        """Runs a command of the host, such as curl, in the network of the system."""
        command = self.command(*command, enter=["--net"], seconds=seconds)
        return subprocess.run(command, stdin=subprocess.DEVNULL, text=True, capture_output=True)

    def __exit__(self, *_):
        if self.group.exists():
            remove(self.group)
        if self.process:
            self.process.wait(20)
        self.console.close()


def main(cache, *command):
    # Removes the system after a signal, too. Further signals are ignored, because `timeout` sends its signal twice.
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
