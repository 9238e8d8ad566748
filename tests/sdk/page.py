"""Extracts the files and commands of docs/guides/clients.md or of another page, so that `run` tests the page itself.

`page.py FOLDER [PAGE]` writes into the folder:

- each block whose first line is a comment with a file name, under this name
- each block ```sh ROLE, as `LANGUAGE.ROLE.sh`, where LANGUAGE is the heading above the block

Fails if an install command of docs/guides/clients.md names a version that the tests do not use.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs/guides/clients.md"
PART = re.compile(r"^## (?P<heading>[^\n]+)$|^```\w+ ?(?P<role>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
FILE = re.compile(r"(?:#|//) (?P<name>[\w./]+)\n")


def main(folder: Path, page: Path = PAGE) -> None:
    heading = ""
    for part in PART.finditer(page.read_text()):
        text = part["text"]
        if part["heading"]:
            heading = part["heading"].lower().replace(" ", "-")
        elif part["role"]:
            if part["role"] == "install" and page == PAGE:
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
    main(*map(Path, sys.argv[1:]))
