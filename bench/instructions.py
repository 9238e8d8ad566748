"""Counts instructions and compares them with instructions.json. The argument `write` updates instructions.json.

A count that is more than 5 % higher fails. A count that is more than 5 % lower fails too, so that the lower count gets committed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).parent.resolve() / "instructions.json"
TOLERANCE = 0.05
# Not the usual target directory: cargo would replace the release binary there.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", FILE.parent.parent / "target")).resolve() / "instructions"


def output(*command):
    process = subprocess.run(command, cwd=FILE.parent.parent, stdout=subprocess.PIPE, text=True)
    if process.returncode != 0:
        sys.exit(process.returncode)
    return process.stdout


def compiler():
    return output(os.environ.get("RUSTC", "rustc"), "--version").strip()


def count():
    """Returns instructions by benchmark."""
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "bench", "--locked", "--quiet", f"--target-dir={TARGET}", "--bench=instructions", "--", "--output-format=json"]
    counts = {}
    for line in output(*command).splitlines():
        summary = json.loads(line)
        name = "_".join(filter(None, [summary["function_name"], summary.get("id")]))
        [profile] = summary["profiles"]
        counts[name] = profile["data"]["total"]["metrics"]["Ir"]["values"]["new"]
    return counts


def committed():
    """Returns the content of instructions.json: the counts, and the version of the compiler."""
    return json.loads(FILE.read_text()) if FILE.exists() else {"compiler": None, "counts": {}}


def main():
    counts, baseline = count(), committed()
    expected = baseline["counts"]
    for name, instructions in counts.items():
        change = f"{instructions / expected[name] - 1:+.1%}" if name in expected else "new"
        print(f"{name:20} {instructions:>9,} instructions  {change}")
    if sys.argv[1:] == ["write"]:
        FILE.write_text(json.dumps({"compiler": compiler(), "counts": counts}, indent=2) + "\n")
        return
    changed = [name for name in counts.keys() | expected.keys() if abs(counts.get(name, 0) / expected.get(name, 1) - 1) > TOLERANCE]
    if changed:
        if baseline["compiler"] != compiler():
            message = f"the compiler is {compiler()}, and {FILE.name} was counted with {baseline['compiler']}, which can explain the change"
            print(f"warning: {message}", file=sys.stderr)
        sys.exit(
            f"error: {', '.join(sorted(changed))}: differs by more than {TOLERANCE:.0%} from {FILE.name}; if this is intended, run "
            "`make instructions` and give the reason in the commit message"
        )
    print(f"{len(counts)} passed, 0 failed")


if __name__ == "__main__":
    main()
