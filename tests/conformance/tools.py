"""Checks by external tools. Each check has the name of its tool, and yields its findings."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

from openapi_spec_validator import OpenAPIV30SpecValidator

from exchanges import encoded, post
from target import HERE, JSON, Target

NODE = HERE / "node_modules"
SCHEMATHESIS = HERE / ".venv/bin/schemathesis"
SPECMATIC = NODE / "specmatic/specmatic.jar"
RULE = re.compile(r" *R\d+: ")


def openapi_spec_validator(target: Target) -> Iterator[str]:
    for error in OpenAPIV30SpecValidator(target.document).iter_errors():
        # The fault is at the end of the message, after a dump of the faulty object.
        yield f"{type(error).__name__}: {error.json_path}: …{error.message[-200:]}"


def redocly(target: Target) -> Iterator[str]:
    yield from redocly_lint(target.path)


def redocly_lint(path: Path) -> Iterator[str]:
    options = ["--format=json", f"--config={HERE / 'redocly.yaml'}"]
    with TemporaryDirectory() as folder:
        output = run(folder, NODE / ".bin/redocly", "lint", *options, path)
    for problem in report_in(output)["problems"]:
        place = problem["location"][0].get("pointer")
        yield f"{problem['ruleId']}: {problem['message']} {place}"


def spectral(target: Target) -> Iterator[str]:
    options = ["--quiet", "--format=json", f"--ruleset={HERE / 'spectral.yaml'}"]
    with TemporaryDirectory() as folder:
        output = run(folder, NODE / ".bin/spectral", "lint", *options, target.path)
    for problem in report_in(output):
        yield f"{problem['code']}: {problem['message']} {problem['path']}"


def schemathesis(target: Target) -> Iterator[str]:
    options = [f"--url=http://{target.address}", f"--max-examples={target.examples}"]
    reports = ["--report=ndjson", "--report-ndjson-path=events"]
    config = f"--config-file={HERE / 'schemathesis.toml'}"
    with TemporaryDirectory() as folder:
        output = run(folder, SCHEMATHESIS, config, "run", *options, *reports, target.path)
        events = Path(folder, "events")
        if not events.exists():
            raise RuntimeError(output.stdout + output.stderr)
        found = list(failures_in(events, target.examples))
    yield from found
    if found or output.returncode:
        # The output has a command to reproduce each failure.
        yield f"schemathesis: {output.stdout}{output.stderr}"


def failures_in(events: Path, examples: int) -> Iterator[str]:
    """Yields the failures in the log of a run, and whether it sent too few requests."""
    with events.open() as lines:
        for line in lines:
            ((kind, event),) = json.loads(line).items()
            if "Error" in kind:
                yield f"error: {event}"
            if kind != "ScenarioFinished":
                continue
            recorder = event["recorder"]
            operation = recorder["label"]
            if event["phase"] == "fuzzing" and len(recorder["cases"]) < examples:
                yield f"examples: {operation} got {len(recorder['cases'])} of {examples}"
            for checks in recorder.get("checks", {}).values():
                for check in checks:
                    if check["status"] != "success":
                        yield f"{check['name']}: {operation}"


def specmatic(target: Target) -> Iterator[str]:
    """Sends each example request with the name of a response, and refreshes and verifies a valid
    token.
    """
    expected = {
        (f"{operation.method} {operation.path} -> {status}", name)
        for operation in target.operations.values()
        for status, name in operation.pairs()
    }
    options = [f"--testBaseURL=http://{target.address}", "--examples=examples"]
    with TemporaryDirectory() as folder:
        expected |= write_valid_tokens(target, Path(folder, "examples"))
        copy(HERE / "specmatic.yaml", folder)
        reports = "--junitReportDir=reports"
        output = run(folder, "java", "-jar", SPECMATIC, "test", *options, reports, target.path)
        report = next(Path(folder).glob("reports/*.xml"), None)
        if report is None:
            raise RuntimeError(output.stdout + output.stderr)
        scenarios = list(ElementTree.parse(report).iter("testcase"))
    ran = set()
    failed = False
    for scenario in scenarios:
        title = scenario.attrib["name"].rpartition("Scenario: ")[2]
        operation, _, example = title.partition(" with the request from the example ")
        ran.add((operation, example.strip("'")))
        for failure in scenario.iter("failure"):
            failed = True
            message = failure.attrib["message"]
            # Such as "R0002: HTTP status mismatch".
            rules = [line.strip() for line in message.splitlines() if RULE.match(line)]
            yield from (f"{rule} in {title}" for rule in rules)
            yield f"failure: {message}"
    if ran != expected:
        yield f"scenarios: ran {sorted(ran)}, not {sorted(expected)}"
    if output.returncode and not failed:
        yield f"specmatic: {output.stdout}{output.stderr}"


def write_valid_tokens(target: Target, folder: Path) -> set[tuple[str, str]]:
    """Writes examples that refresh and verify a new token, under the names of the documented
    responses.

    Specmatic uses these files instead of the documented examples. Without the files, Specmatic
    would generate tokens and expect a 200.
    """
    login = post(target, target.obtain, encoded(target.credentials))
    headers, body = {"Content-Type": JSON}, {"token": json.loads(login.body)["token"]}
    written = set()
    folder.mkdir()
    for operation in (target.refresh, target.verify):
        ((name, documented),) = operation.answers("200").items()
        method, path = operation.method, operation.path
        example = {
            "http-request": {"method": method, "path": path, "headers": headers, "body": body},
            "http-response": {"status": 200, "headers": headers, "body": documented},
        }
        Path(folder, f"{name}.json").write_text(json.dumps(example))
        written.add((f"{method} {path} -> 200", name))
    return written


def run(folder: str | Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Runs a tool in a temporary folder, because many tools leave files in the current folder."""
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def report_in(output: subprocess.CompletedProcess[str]) -> Any:
    try:
        return json.loads(output.stdout)
    except ValueError as error:
        raise RuntimeError(output.stdout + output.stderr) from error
