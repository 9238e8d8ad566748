"""Runs every check, then every planted fault, and prints a line for each. `./run` starts it."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent
from time import monotonic
from traceback import format_exc

import exchanges
import proxy
import tools
from planted import IN_THE_ANSWERS, IN_THE_DOCUMENT, Check
from target import DOCUMENT, Target, service

CHECKS: list[Check] = [
    tools.openapi_spec_validator,
    tools.redocly,
    tools.spectral,
    exchanges.example_pairs,
    exchanges.obtain_then_refresh,
    exchanges.media_types,
    exchanges.refusals,
    tools.specmatic,
    tools.schemathesis,
]
# Per operation: for the check itself, and to find what is planted.
EXAMPLES, FEW_EXAMPLES = 300, 10


def main() -> int:
    proven = {check for _, check, _ in IN_THE_ANSWERS + IN_THE_DOCUMENT}
    assert proven == set(CHECKS), "each check needs a fault to find"
    passed = []
    with service() as address:
        target = Target(DOCUMENT, address, EXAMPLES)
        for check in CHECKS:
            passed.append(finds_nothing(check, target))

        # The proxy itself must be of no account.
        with proxy.proxy(address, proxy.no_fault) as through:
            target = Target(DOCUMENT, through, FEW_EXAMPLES)
            for check in dict.fromkeys(check for _, check, _ in IN_THE_ANSWERS):
                passed.append(finds_nothing(check, target, "through the proxy"))
        for fault, check, kind in IN_THE_ANSWERS:
            with proxy.proxy(address, fault) as through:
                target = Target(DOCUMENT, through, FEW_EXAMPLES)
                passed.append(finds(check, target, fault, kind))
        for change, check, kind in IN_THE_DOCUMENT:
            with TemporaryDirectory() as folder:
                target = Target(Path(folder, "openapi.json"), address, FEW_EXAMPLES)
                document = json.loads(DOCUMENT.read_text())
                change(document)
                target.path.write_text(json.dumps(document))
                passed.append(finds(check, target, change, kind))
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    return 0 if all(passed) else 1


def finds_nothing(check: Check, target: Target, how: str = "") -> bool:
    """Runs a check that must find nothing."""
    with line(f"{name(check)} {how}".strip()) as found:
        found += findings(check, target)
    return not found


def finds(check: Check, target: Target, fault: Callable[..., object], kind: str) -> bool:
    """Runs a check that must find the fault that is planted, and call it this kind."""
    with line(f"planted {name(fault)}: {name(check)} finds {kind}") as wrong:
        found = findings(check, target)
        if not any(one.startswith(f"{kind}: ") for one in found):
            wrong += found or ["nothing was found"]
    return not wrong


def findings(check: Check, target: Target) -> list[str]:
    try:
        return list(check(target))
    except Exception:
        return [f"the check itself failed: {format_exc()}"]


@contextmanager
def line(title: str) -> Iterator[list[str]]:
    """Prints whether something was wrong, and below it what."""
    wrong: list[str] = []
    started = monotonic()
    yield wrong
    print(f"{'FAILED' if wrong else 'ok':6}  {title} ({monotonic() - started:.1f} s)")
    for one in wrong:
        print(indent(one, "        "))
    sys.stdout.flush()


def name(function: Callable[..., object]) -> str:
    return function.__name__.replace("_", " ")


if __name__ == "__main__":
    sys.exit(main())
