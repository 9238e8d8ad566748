"""What is checked: the files of this folder, or a copy of them with a fault."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from dockerfile_parse import DockerfileParser

FOLDER = Path(__file__).resolve().parent.parent
REPOSITORY = FOLDER.parent.parent
SIGNET = os.environ["SIGNET"]


class Unreadable(Exception):
    """A file that not even its reader takes."""


@dataclass
class Image:
    """What the last stage of the Dockerfile makes."""

    base: str
    environment: dict[str, str]
    user: str
    binary: str
    command: list[str]


@dataclass
class Target:
    folder: Path

    @classmethod
    def copy(cls, folder: Path) -> "Target":
        """What is made here, such as real secrets, stays where it is."""
        shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".venv", "secrets", "checks"))
        return cls(folder)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text, f"{name} has no {old!r} any more"
        (self.folder / name).write_text(text.replace(old, new))

    @cached_property
    def image(self) -> Image:
        with (self.folder / "Dockerfile").open("rb") as file:
            parser = DockerfileParser(fileobj=file)
            instructions, environment, base = parser.structure, parser.envs, parser.baseimage
        last = {one["instruction"]: one["value"] for one in instructions}
        return Image(
            base=base,
            environment=environment,
            user=last["USER"],
            binary=last["COPY"].split()[-1],
            command=json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"]),
        )

    @cached_property
    def compose(self) -> dict[str, Any]:
        return yaml.safe_load((self.folder / "compose.yaml").read_text())

    @cached_property
    def replicas(self) -> dict[str, Any]:
        """The services of compose.yaml that are this one."""
        return {name: service for name, service in self.compose["services"].items() if service["image"] == "signet"}

    @cached_property
    def manifests(self) -> str:
        """What `kubectl apply -k` would send."""
        command = ["kubectl", "kustomize", self.folder / "kubernetes"]
        output = subprocess.run(command, capture_output=True, text=True)
        if output.returncode:
            raise Unreadable(output.stderr.strip())
        return output.stdout

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all(self.manifests))

    @cached_property
    def secret(self) -> dict[str, Any]:
        """The example, with its placeholders."""
        return yaml.safe_load((self.folder / "kubernetes/secret.example.yaml").read_text())

    def object(self, kind: str) -> dict[str, Any]:
        (found,) = (one for one in self.objects if one["kind"] == kind)
        return found

    @property
    def pod(self) -> dict[str, Any]:
        return self.object("Deployment")["spec"]["template"]["spec"]


# Each gives what it found, under a name that says of which kind it is.
Check = Callable[[Target], Iterator[str]]
