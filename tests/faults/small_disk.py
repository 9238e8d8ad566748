"""A small disk in a mount namespace. Only processes in the namespace see it. The kernel removes it with the namespace."""

import os
import subprocess
import tempfile
from pathlib import Path


class SmallDisk:
    def __init__(self, size="8m"):
        self.folder = Path(tempfile.mkdtemp(prefix="signet-faults-"))
        # Without root, a user namespace makes the current user root inside the namespace.
        root = os.geteuid() == 0
        mount = f"mount -t tmpfs -o size={size},mode=700 none {self.folder} && echo mounted && read -r end"
        self.holder = subprocess.Popen(
            ["unshare", *([] if root else ["--user", "--map-root-user"]), "--mount", "sh", "-c", mount],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self.holder.stdout.readline() != "mounted\n":
            self.close()
            raise AssertionError("cannot mount a small disk on this machine")
        user = [] if root else ["--user", "--preserve-credentials"]
        self.inside = ["nsenter", f"--target={self.holder.pid}", "--mount", *user]

    def fill(self):
        """Fills the disk completely."""
        fill = [*self.inside, "dd", "if=/dev/zero", f"of={self.folder}/filler", "bs=1k"]
        said = subprocess.run(fill, capture_output=True, text=True).stderr
        assert "No space left on device" in said, said

    def make_room(self):
        subprocess.run([*self.inside, "rm", f"{self.folder}/filler"], check=True)

    def close(self):
        self.holder.kill()
        self.holder.communicate()
        self.folder.rmdir()
