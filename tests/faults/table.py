"""The table of all faults: what each must keep is asserted here, in one place, before it gets its row."""

from pathlib import Path

from load import WRONG

# Seconds, from the end of a fault.
RECOVERY = 10
PAGE = Path(__file__).resolve().parent.parent.parent / "docs/faults.md"
COLUMNS = ["fault", "load", "requests", "errors seen", "lost", "recovery time"]
HEAD = """\
# Faults

What the service does while its surroundings fail, and while it fails itself. `make test-faults` makes each of these
faults with real processes and sockets, under load; it writes this page when all was as it should be.

- **load**: who was asking meanwhile. Each client logs in once and refreshes three times, and so on; half of them keep
  their connection.
- **requests**: how many those were. Every answer was checked, and every token read.
- **errors seen**: answers of theirs that were no token. A `503` came in time and told when to try again; `reset` and
  `refused` are what a dead process leaves; `expired` is right by the clock of that moment.
- **lost**: what had been acknowledged and is gone, and wrong answers. It is always 0.
- **recovery time**: from the end of the fault, such as when PostgreSQL says that it is ready, to the first of the
  right answers that no error followed. It is empty where nobody had to wait. That of a service that was killed is the
  longest, its start included.

"""
rows = []


def survived(test, fault, load, may_see=(), missing=(), recovery=None, beside=""):
    """Holds a load to what is right under every fault, and adds the row. `missing` is what was acknowledged and is
    gone; there is no `recovery` from what harms nobody."""
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
        ", ".join(f"{count:,} × {kind}" for kind, count in errors.most_common()) or "none",
        str(lost),
        "" if recovery is None else f"{recovery:.2f} s",
    ])


def markdown():
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write():
    PAGE.write_text(HEAD + markdown())
