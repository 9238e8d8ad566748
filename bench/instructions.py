"""Counts instructions and holds them against instructions.json; `write` as an argument writes it anew.

A count that is larger by more than the leeway fails. One that is as much smaller is good news, and fails too until it is written down:
what was won stays won.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).parent.resolve() / "instructions.json"
LEEWAY = 0.05
# A folder of its own: cargo puts a signet of the same profile beside what is counted, in the place of the release.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", FILE.parent.parent / "target")).resolve() / "instructions"


def told_by(*command):
    told = subprocess.run(command, cwd=FILE.parent.parent, stdout=subprocess.PIPE, text=True)
    if told.returncode != 0:
        sys.exit(told.returncode)
    return told.stdout


def compiler():
    return told_by(os.environ.get("RUSTC", "rustc"), "--version").strip()


def counted():
    """Instructions by benchmark."""
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "bench", "--locked", "--quiet", f"--target-dir={TARGET}", "--bench=instructions", "--", "--output-format=json"]
    told = told_by(*command)
    counts = {}
    for line in told.splitlines():
        summary = json.loads(line)
        name = "_".join(filter(None, [summary["function_name"], summary.get("id")]))
        [profile] = summary["profiles"]
        counts[name] = profile["data"]["total"]["metrics"]["Ir"]["values"]["new"]
    return counts


def known():
    """What is committed: counts, and of whose making the binary was."""
    return json.loads(FILE.read_text()) if FILE.exists() else {"compiler": None, "counts": {}}


def main():
    counts, before = counted(), known()
    committed = before["counts"]
    for name, count in counts.items():
        change = f"{count / committed[name] - 1:+.1%}" if name in committed else "new"
        print(f"{name:20} {count:>9,} instructions  {change}")
    if sys.argv[1:] == ["write"]:
        FILE.write_text(json.dumps({"compiler": compiler(), "counts": counts}, indent=2) + "\n")
        return
    apart = [name for name in counts.keys() | committed.keys() if abs(counts.get(name, 0) / committed.get(name, 1) - 1) > LEEWAY]
    if apart:
        if before["compiler"] != compiler():
            print(f"These are of {compiler()}, and those of {FILE.name} of {before['compiler']}: that alone may be why.", file=sys.stderr)
        sys.exit(
            f"error: {', '.join(sorted(apart))}: not within {LEEWAY:.0%} of {FILE.name}. If that is meant, run `make instructions`, "
            "and say in the commit what it is for"
        )
    print(f"{len(counts)} passed, 0 failed")


if __name__ == "__main__":
    main()
