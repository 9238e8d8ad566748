"""The target of the checks: the document, and a running service that must conform to it."""

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

HERE = Path(__file__).parent
# The document with the optional operation. `openapi.json` is a part of this document, as a test of
# `tests/contract` checks.
DOCUMENT = HERE.parents[1] / "openapi" / "openapi-verify.json"
JSON = "application/json"

# The files of `generated`. Their names are the names in `openapi/`.
FORMATS = {
    "json": "openapi.json",
    "arazzo": "workflows.arazzo.yaml",
    "postman": "signet.postman_collection.json",
    "bruno": "bruno",
}

# The address in the log of the service.
LISTENING = '"listening","address":"([^"]+)"'

# These settings replace the SIGNET variables of the environment. The port is a free port.
SETTINGS = {"SIGNET_LISTEN": "127.0.0.1:0", "SIGNET_THROTTLE": "off", "SIGNET_VERIFY": "on"}


@dataclass(frozen=True)
class Operation:
    path: str
    method: str
    described: dict[str, Any]

    @property
    def responses(self) -> dict[str, Any]:
        return self.described["responses"]

    @property
    def requests(self) -> dict[str, Any]:
        """The bodies of the example requests, by name."""
        return values(self.described["requestBody"]["content"][JSON])

    def answers(self, status: str) -> dict[str, Any]:
        """The bodies of the example responses with this status, by name."""
        return values(self.responses[status]["content"][JSON])

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The status and the name of each example that has both a request and a response."""
        for status in self.responses:
            for name in self.answers(status):
                if name in self.requests:
                    yield status, name


def values(media_type: dict[str, Any]) -> dict[str, Any]:
    return {name: example["value"] for name, example in media_type.get("examples", {}).items()}


@dataclass(frozen=True)
class Target:
    # For checks of the generated files, the document is next to the other files.
    path: Path
    address: str
    # Number of requests that schemathesis generates per operation.
    examples: int

    @cached_property
    def document(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())

    @property
    def obtain(self) -> Operation:
        return self.operations["obtainToken"]

    @property
    def refresh(self) -> Operation:
        return self.operations["refreshToken"]

    @property
    def verify(self) -> Operation:
        return self.operations["verifyToken"]

    @property
    def credentials(self) -> Any:
        """The body of the one example that logs in."""
        (name,) = (name for status, name in self.obtain.pairs() if status == "200")
        return self.obtain.requests[name]

    @cached_property
    def operations(self) -> dict[str, Operation]:
        """All operations by operation ID."""
        return {
            described["operationId"]: Operation(path, method.upper(), described)
            for path, methods in self.document["paths"].items()
            for method, described in methods.items()
        }


@contextmanager
def service() -> Iterator[str]:
    """Runs the demo of the binary $SIGNET on a free port, and yields its address."""
    with TemporaryDirectory() as home, serving(home, "--demo") as address:
        yield address


@contextmanager
def serving(home: str, *options: str, **settings: str) -> Iterator[str]:
    """Runs the service in this folder on a free port, and yields its address."""
    command = [signet(), "serve", *options]
    with started(command, LISTENING, cwd=home, env=environment(**settings)) as address:
        yield address


@contextmanager
def started(command: list[Any], listening: str, **options: Any) -> Iterator[str]:
    """Starts a program, and yields its address: the group of the pattern `listening` in the log."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    ) as process:
        assert process.stdout
        try:
            address = address_of(process.stdout, listening)
            # Reads the log, because a full pipe would block the program.
            rest = Thread(target=process.stdout.read)
            rest.start()
            yield address
        finally:
            process.terminate()
    rest.join()


@contextmanager
def generated() -> Iterator[Path]:
    """Writes the document, the workflows and the collections, with the optional operation."""
    with TemporaryDirectory() as home:
        for format, name in FORMATS.items():
            # Only a collection of Bruno is a folder.
            output = ["--output", name] if format == "bruno" else []
            command = [signet(), "openapi", "--format", format, *output]
            options = {"cwd": home, "env": environment(), "check": True, "text": True}
            printed = subprocess.run(command, stdout=subprocess.PIPE, **options).stdout
            if not output:
                Path(home, name).write_text(printed)
        yield Path(home, FORMATS["json"])


def signet() -> Path:
    return Path(os.environ["SIGNET"]).resolve()


def environment(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIGNET")}
    return inherited | SETTINGS | settings


def address_of(log: Iterable[str], listening: str) -> str:
    lines = []
    for line in log:
        lines.append(line)
        if found := re.search(listening, line):
            return found[1]
    raise RuntimeError(f"the program did not start: {''.join(lines)}")
