"""A disk that turned read-only under a process.

A kernel does so to a file system that fails. An operator cannot: `mount -o remount,ro` is refused as long as the
database is open. So it is told to the process by strace, which answers its writes with EROFS; of all that this service
does, only SQLite writes by these calls.
"""

import signal
import subprocess
from pathlib import Path

from poll import until


class ReadOnly:
    """From `begin` to `end`, the process cannot write to its database."""

    def __init__(self, process):
        self.process = process
        self.strace = None

    def begin(self):
        calls = "pwrite64,ftruncate"
        quietly = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EROFS"]
        self.strace = subprocess.Popen([*quietly, "-f", "-p", str(self.process.pid)])
        until(self.is_whole, "strace follows every thread")

    def is_whole(self):
        assert self.strace.poll() is None, f"strace ended with {self.strace.returncode}"
        traced = f"TracerPid:\t{self.strace.pid}\n"
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/status")
        return all(traced in status.read_text() for status in threads)

    def end(self):
        if self.strace:
            # It lets go of the process first.
            self.strace.send_signal(signal.SIGINT)
            self.strace.wait()
            self.strace = None
