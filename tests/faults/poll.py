"""Waits for a condition with a time limit."""

import time


def until(condition, what, seconds=30):
    """Calls `condition` until its result is true, and returns the result. After the time limit, the test fails with `what`: a text,
    or a function that returns a text."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {seconds} seconds: {what() if callable(what) else what}")
        time.sleep(0.005)
    return met
