"""Takes docs/clients.md apart, so that what it says is what is run.

`page.py FOLDER` writes there every file of the page, which is a block whose first line names it in a
comment, and every command, `LANGUAGE.ROLE.sh`, which is a block ```sh ROLE under the heading of a language.
It fails when a command installs another version than the tests do.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs/clients.md"
PART = re.compile(r"^## (?P<heading>[^\n]+)$|^```\w+ ?(?P<role>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
FILE = re.compile(r"(?:#|//) (?P<name>[\w./]+)\n")


def main(folder: Path) -> None:
    heading = ""
    for part in PART.finditer(PAGE.read_text()):
        text = part["text"]
        if part["heading"]:
            heading = part["heading"].lower().replace(" ", "-")
        elif part["role"]:
            if part["role"] == "install":
                check_versions(text)
            write(folder / f"{heading}.{part['role']}.sh", text)
        elif name := FILE.match(text):
            write(folder / name["name"], text)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def check_versions(command: str) -> None:
    pinned = set((HERE / "requirements.txt").read_text().split())
    packages = json.loads((HERE / "package.json").read_text())["devDependencies"]
    pinned |= {f"{name}@{version}" for name, version in packages.items()}
    _, _, *wanted = command.split()
    if unknown := set(wanted) - pinned:
        sys.exit(f"{PAGE.name} installs what the tests do not: {' '.join(unknown)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
