"""Runs every `console` block of several pages in order, and compares the output with the pages.

`$ ` starts a command, and `> ` starts the next line of the same command. All other lines are output. In the output, `…` matches any
text that is not empty. A line that contains only `…` matches any number of lines. Columns are aligned on the page, and have tabs in
the output of a pipe.
"""

import re

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def exchanges(block):
    """Returns each command of a block with the lines of its output."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> "):
            command, shown = found.pop()
            found.append((f"{command}\n{line[2:]}", shown))
        else:
            found[-1][1].append(line)
    return found


def joined(text):
    """Replaces white space between columns by one space."""
    return "".join(" ".join(line.split()) + "\n" for line in text.splitlines())


def pattern(lines):
    """Returns a regular expression that matches the output on the page."""
    lines = [" ".join(line.split()) for line in lines]
    return "".join("(?:.*\n)*" if line == "…" else ".+".join(map(re.escape, line.split("…"))) + "\n?" for line in lines)


def run(test, machine, pages):
    text = "\n".join(page.read_text() for page in pages)
    blocks = BLOCK.findall(text)
    test.assertGreater(len(blocks), 10)
    test.assertEqual(text.count("```console"), len(blocks))
    for block in blocks:
        for command, shown in exchanges(block):
            done = machine.run("bash", "-uc", f"cd /root; {command}")
            context = f"{command}\n{done.stdout}{done.stderr}\n{machine.journal()[-2000:]}"
            test.assertEqual(done.returncode, 0, context)
            test.assertRegex(joined(done.stdout), rf"\A{pattern(shown)}\Z", context)
