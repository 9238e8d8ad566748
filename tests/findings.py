"""Runs checks, and prints a line for each check. A check must find no fault in the service, and must find each planted fault.

A check is a generator with a target as its argument. It yields a finding for each fault, such as `kind: details`.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from textwrap import indent
from time import monotonic
from traceback import format_exc
from typing import TypeVar

T = TypeVar("T")
Check = Callable[[T], Iterable[str]]


def finds_nothing(check: Check[T], target: T, how: str = "") -> bool:
    """Runs a check on a target without faults. Returns whether the check has no findings."""
    with line(f"{name(check)} {how}".strip()) as found:
        found += findings(check, target)
    return not found


def finds(check: Check[T], target: T, fault: Callable[..., object], kind: str) -> bool:
    """Runs a check on a target with a planted fault. Returns whether a finding has this kind."""
    with line(f"planted {name(fault)}: {name(check)} finds {kind}") as wrong:
        found = findings(check, target)
        if not any(one.startswith(f"{kind}: ") for one in found):
            wrong += found or ["nothing was found"]
    return not wrong


def findings(check: Check[T], target: T) -> list[str]:
    try:
        return list(check(target))
    except Exception:
        return [f"the check itself failed: {format_exc()}"]


@contextmanager
def line(title: str) -> Iterator[list[str]]:
    """Prints the title, and the findings that the block adds to the list."""
    wrong: list[str] = []
    started = monotonic()
    yield wrong
    print(f"{'FAILED' if wrong else 'ok':6}  {title} ({monotonic() - started:.1f} s)")
    for one in wrong:
        print(indent(one, "        "))
    sys.stdout.flush()


def name(function: Callable[..., object]) -> str:
    return function.__name__.replace("_", " ")
