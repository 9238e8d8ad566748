"""The table of all faults. `survived` asserts the promises of each fault before it adds the row."""

from pathlib import Path

from load import WRONG

# Seconds, from the end of a fault.
RECOVERY = 10
PAGE = Path(__file__).resolve().parent.parent.parent / "docs/faults.md"
COLUMNS = ["fault", "load", "requests", "errors seen", "lost", "recovery time"]
HEAD = """\
# Faults

This page shows how the service behaves while its environment or the service itself fails. `make test-faults` causes each fault with real processes
and sockets under load, checks all responses, and writes this page.

- **load**: the clients during the fault. Each client logs in once, then refreshes three times, and repeats this. Half of the clients keep their
  connection.
- **requests**: the number of requests. The test checks each response and each token.
- **errors seen**: responses without a token. A `503` arrived in time and had `Retry-After`. `reset` and `refused` come from a dead process. `expired`
  is correct for the clock at that time.
- **lost**: acknowledged changes that are missing, and wrong responses. The number is always 0.
- **recovery time**: the time from the end of the fault, for example when PostgreSQL reports that it is ready, to the first correct response without
  errors after it. It is empty if no request failed. For a killed service it includes the start.

"""
rows = []


def survived(test, fault, load, may_see=(), missing=(), recovery=None, beside=""):
    """Asserts that the load saw only correct responses and these errors, and adds the row. `missing` are acknowledged changes that are
    lost. `recovery` is None if no request failed."""
    errors = load.errors()
    unforeseen = [answer for answer in load.answers if answer.kind in errors and answer.kind not in may_see]
    test.assertEqual(unforeseen[:3], [], f"{errors}")
    lost = errors[WRONG] + len(missing)
    test.assertEqual(lost, 0, missing)
    if recovery is not None:
        test.assertLess(recovery, RECOVERY)
    rows.append([
        fault,
        f"{len(load.clients)} client{'s' * (len(load.clients) > 1)}{beside}",
        f"{len(load.answers):,}",
        ", ".join(f"{count:,} × {kind}" for kind, count in errors.most_common()) or "-",
        str(lost),
        "" if recovery is None else f"{recovery:.2f} s",
    ])


def markdown():
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write():
    PAGE.write_text(HEAD + markdown())
