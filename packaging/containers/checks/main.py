"""Runs every check, then every planted fault, and prints a line for each. `../check` starts it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent
from time import monotonic
from traceback import format_exc

import agree
import lint
import tried
from network import Database, names
from planted import FAULTS
from target import Check, Target

CHECKS: list[Check] = [
    lint.hadolint,
    lint.checkov,
    lint.compose_schema,
    lint.kustomization,
    lint.kubernetes_schema,
    lint.haproxy_config,
    agree.image_has_the_libraries,
    agree.settings_are_known,
    agree.a_stop_has_time,
    agree.compose_is_hardened,
    agree.build_has_its_files,
    tried.token_of_one_refreshes_at_the_other,
    tried.clients_address_arrives,
    tried.stop_of_one_loses_no_request,
    tried.probes_are_answered,
    tried.database_is_healthy,
    tried.placeholders_are_refused,
]


def main() -> int:
    assert {check for _, check, _ in FAULTS} == set(CHECKS), "each check needs a fault to find"
    # Its end is ours: what is interrupted is removed, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    passed = []
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="signet-containers-")))
        whole = Target.copy(folder / "whole")
        tried.DATABASE = Database()
        cleanup.callback(tried.DATABASE.server.close)
        cleanup.enter_context(names(tried.hosts(whole)))
        for check in CHECKS:
            with line(name(check)) as wrong:
                wrong += findings(check, whole)
            passed.append(not wrong)
        for fault, check, kind in FAULTS:
            with line(f"planted {name(fault)}: {name(check)} finds {kind}") as wrong:
                target = Target.copy(folder / name(fault))
                fault(target)
                found = findings(check, target)
                if not any(one.startswith(f"{kind}: ") for one in found):
                    wrong += found or ["nothing was found"]
            passed.append(not wrong)
        database = tried.DATABASE.version()
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    print(
        "Tried, with real processes: what the replicas are given (settings, secrets, user, libraries), their probes "
        f"and stops; haproxy.cfg, on HAProxy {haproxy()}; logins and health, on PostgreSQL {database}. Only linted: "
        "Dockerfile, compose.yaml and kubernetes/ as a whole. No image was built, and no container was started."
    )
    return 0 if all(passed) else 1


def haproxy() -> str:
    return subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout.split()[2]


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


def name(function: object) -> str:
    return function.__name__.replace("_", " ")


if __name__ == "__main__":
    sys.exit(main())
