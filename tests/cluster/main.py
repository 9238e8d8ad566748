"""Fails over a PostgreSQL cluster under Patroni with real processes and networks, prints the table, and writes
docs/explanation/failover.md."""

import shutil
import sys
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "faults"))
import service  # noqa: E402, F401  (adds the folder of `postgres`)
import table  # noqa: E402
from failover import Failover  # noqa: E402
from postgres import binaries  # noqa: E402

PAGE = table.PAGE.with_name("failover.md")
COLUMNS = [*table.COLUMNS[:-1], "changes", "time without writes", "recovery time"]
HEAD = (Path(__file__).parent / "page.md").read_text()
# The faults of CI: the most frequent fault, and the fault that a wrong configuration of the cluster survives least.
SHORT = ["Failover.test_leader_is_killed", "Failover.test_leader_is_frozen"]


def load_tests(loader, _tests, _pattern):
    """Returns all tests. The rows of the table have the same order."""
    return loader.loadTestsFromTestCase(Failover)


def missing():
    tools = {name: shutil.which(name) for name in ["patroni", "etcd", "haproxy", "ip", "openssl", "setpriv"]}
    tools |= {"postgresql": binaries()}
    return [name for name, found in tools.items() if not found]


if __name__ == "__main__":
    if lacking := missing():
        sys.exit(f"missing tools: {', '.join(lacking)}; run tests/cluster/setup to install them")
    arguments = SHORT if sys.argv[1:] == ["short"] else sys.argv[1:]
    outcome = unittest.main(argv=[sys.argv[0], *arguments], exit=False, verbosity=2).result
    failed = len(outcome.failures) + len(outcome.errors)
    print(table.markdown(COLUMNS))
    # A run of only some tests must not overwrite the page of all tests.
    everything = load_tests(unittest.defaultTestLoader, None, None).countTestCases()
    if not failed and len(table.rows) == everything:
        table.write(PAGE, HEAD, COLUMNS)
    print(f"{failed} of {outcome.testsRun} tests failed", flush=True)
    sys.exit(failed > 0)
