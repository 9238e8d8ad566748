"""Waits for a condition, and never for a time: whoever waits says for what, and for how long at most."""

import time


def until(condition, what, seconds=30):
    """Returns what `condition` returns, once that is true. If that takes longer, the test fails with `what` was
    awaited: a text, or what makes one."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {seconds} seconds: {what() if callable(what) else what}")
        time.sleep(0.005)
    return met
