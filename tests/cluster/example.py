"""Fills in the example files of packaging/, so that the suite tests the files that are shipped."""

from pathlib import Path

PACKAGING = Path(__file__).resolve().parent.parent.parent / "packaging"


def example(name, changes):
    """Returns the text of an example file. Replaces each key of `changes`, which the file must contain, by its value."""
    text = (PACKAGING / name).read_text()
    for old, new in changes.items():
        if old not in text:
            raise AssertionError(f"packaging/{name} does not contain {old!r}")
        text = text.replace(old, new)
    if "CHANGE_ME_" in text:
        raise AssertionError(f"packaging/{name} contains a password (CHANGE_ME_) that the suite does not change")
    return text
