"""Runs every check, then every planted fault, and prints a line for each. `main.py update` writes the derived parts of the guide."""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import checks
import kit as files
from kit import Kit
from planted import FAULTS, Check
from service import running

sys.path.insert(0, str(Path(__file__).parent.parent))
from findings import finds, finds_nothing  # noqa: E402

CHECKS: list[Check] = [
    checks.promtool_check_rules,
    checks.promtool_check_config,
    checks.promtool_test_rules,
    checks.every_alert_is_tested,
    checks.promtool_check_metrics,
    checks.guide_is_current,
    checks.every_metric_exists,
    checks.every_metric_is_used,
    checks.thresholds_agree,
    checks.dashboard_has_the_types_of_grafana,
    checks.panels_show_units_names_and_replicas,
    checks.prometheus_answers_every_query,
]


def main() -> int:
    paths = {
        "rules": files.RULES,
        "tests": files.TESTS,
        "dashboard": files.DASHBOARD,
        "guide": files.GUIDE,
        "reference": files.REFERENCE,
    }
    kit = Kit(**{part: path.read_text() for part, path in paths.items()}, metrics="", prometheus="")
    if sys.argv[1:] == ["update"]:
        files.GUIDE.write_text(checks.derived(kit))
        return 0
    assert {check for _, check, _ in FAULTS} == set(CHECKS), "each check needs a planted fault"
    with TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder, kit.block("prometheus.yml")) as (service, prometheus):
            service.lock_database()
            kit = replace(kit, prometheus=prometheus)
            # A rate needs two scrapes. After the deadline, the check reports the queries without data.
            deadline = monotonic() + 15
            while not has_data(kit) and monotonic() < deadline:
                service.traffic()
            kit = replace(kit, metrics=service.metrics())
            passed = [finds_nothing(check, kit) for check in CHECKS]
            passed += [finds(check, fault(kit), fault, kind) for fault, check, kind in FAULTS]
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    return 0 if all(passed) else 1


def has_data(kit: Kit) -> bool:
    return not any(finding.startswith("no data") for finding in checks.prometheus_answers_every_query(kit))


if __name__ == "__main__":
    sys.exit(main())
