"""Adds accounts during a fault. A separate process adds each account."""

import itertools
import threading

from poll import until
from service import PASSWORD


class Adding:
    """Runs `signet user create` in a loop, for the duration of a `with` block. The emails begin with `prefix`."""

    def __init__(self, service, prefix="added"):
        self.service, self.prefix = service, prefix
        self.stopping = threading.Event()
        self.acknowledged, self.refused = [], []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        for number in itertools.count(1):
            if self.stopping.is_set():
                break
            email = f"{self.prefix}-{number}@example.com"
            changed = self.change(email)
            if changed.returncode == 0:
                self.acknowledged.append(email)
            else:
                self.refused.append(changed)

    def change(self, email):
        return self.service.command("user", "create", email, "--password-stdin", input=PASSWORD)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def more(self, count):
        """Waits until `count` more accounts are acknowledged."""
        wanted = len(self.acknowledged) + count

        def told():
            return f"{count} more accounts; the last failed commands: {self.refused[-2:]}"

        until(lambda: len(self.acknowledged) >= wanted, told)

    def missing(self):
        """Returns the acknowledged accounts that cannot log in."""
        return {email for email in self.acknowledged if self.service.obtain(email)[0] != 200}
