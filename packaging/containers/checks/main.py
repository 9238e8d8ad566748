"""Runs every check, then every planted fault, and prints a line for each. `../check` starts it."""

import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import agree
import lint
import tried
from network import Database, names  # It also makes tests/ known.
from findings import finds, finds_nothing
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
            passed.append(finds_nothing(check, whole))
        for fault, check, kind in FAULTS:
            target = Target.copy(folder / fault.__name__)
            fault(target)
            passed.append(finds(check, target, fault, kind))
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


if __name__ == "__main__":
    sys.exit(main())
