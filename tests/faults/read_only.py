"""Simulates a disk that becomes read-only while a process runs.

A kernel makes a file system read-only after an error of the disk. A test cannot do the same, because the kernel rejects
`mount -o remount,ro` while the database is open. Instead, strace makes the write calls of the process fail with EROFS. In this
service, only SQLite uses these calls.
"""

import signal
import subprocess
from pathlib import Path

from poll import until


class ReadOnly:
    """Makes the database of a process read-only from `begin` to `end`."""

    def __init__(self, process):
        self.process = process
        self.strace = None

    def begin(self):
        calls = "pwrite64,ftruncate"
        quietly = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EROFS"]
        self.strace = subprocess.Popen([*quietly, "-f", "-p", str(self.process.pid)])
        until(self.is_whole, "strace traces all threads")

    def is_whole(self):
        assert self.strace.poll() is None, f"strace exited with {self.strace.returncode}"
        traced = f"TracerPid:\t{self.strace.pid}\n"
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/status")
        return all(traced in status.read_text() for status in threads)

    def end(self):
        if self.strace:
            # After SIGINT, strace detaches from the process before it exits.
            self.strace.send_signal(signal.SIGINT)
            self.strace.wait()
            self.strace = None
