"""The table of all faults of a suite. `survived` asserts the promises of each fault before it adds the row."""

from pathlib import Path

from load import WRONG

# Limit of the recovery time, in seconds.
RECOVERY = 10
PAGE = Path(__file__).resolve().parent.parent.parent / "docs/explanation/faults.md"
COLUMNS = ["fault", "load", "requests", "errors seen", "lost", "recovery time"]
HEAD = """\
# Faults

This page shows how the service behaves while its environment or the service itself fails. `make test-faults` causes each fault with real processes
and sockets under load, checks all responses, and writes this page.

- **load**: the clients during the fault. Each client logs in once, then refreshes three times, and repeats this. Half of the clients reuse their
  connection. The other half opens a new connection for each request.
- **requests**: the number of requests. The test checks each response and each token.
- **errors seen**: requests that did not return a token.
  - `503`: the response arrived within 3 seconds, and had the header `Retry-After`.
  - `reset`: the service was killed during the request.
  - `refused`: the service was dead when the client tried to connect.
  - `expired`: the token had expired by the changed clock. This response is correct.
- **lost**: acknowledged changes that are missing, and wrong responses. The test fails if this number is not 0.
- **recovery time**: the time from the end of the fault to the first correct response after the last error. For example, the fault ends when a
  started PostgreSQL reports that it is ready. For a killed service and for dropped connections, the time starts with the fault. If the only service is
  killed, the time includes its restart. The test fails if the recovery takes 10 seconds or more. The field is empty if the test does not measure
  the recovery.

"""
rows = []


def survived(test, fault, load, may_see=(), missing=(), recovery=None, beside="", limit=RECOVERY, more=()):
    """Asserts that the load received only correct responses and the errors in `may_see`, and adds the row. `missing` contains the lost
    acknowledged changes. `recovery` is None if the test does not measure it. `more` contains the cells of columns that only another suite
    has."""
    errors = load.errors()
    unforeseen = [answer for answer in load.answers if answer.kind in errors and answer.kind not in may_see]
    test.assertEqual(unforeseen[:3], [], f"{errors}")
    lost = errors[WRONG] + len(missing)
    test.assertEqual(lost, 0, missing)
    if recovery is not None:
        test.assertLess(recovery, limit)
    rows.append([
        fault,
        f"{len(load.clients)} client{'s' * (len(load.clients) > 1)}{beside}",
        f"{len(load.answers):,}",
        ", ".join(f"{count:,} × {kind}" for kind, count in errors.most_common()) or "-",
        str(lost),
        *more,
        "" if recovery is None else f"{recovery:.2f} s",
    ])


def markdown(columns=COLUMNS):
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(page=PAGE, head=HEAD, columns=COLUMNS):
    page.write_text(head + markdown(columns))
