"""Linters and schemas that nobody here wrote: each gives what it found, under the name of the rule."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import kubernetes_validate

from target import Target, Unreadable

# Where the packages of requirements.txt put their commands.
COMMANDS = Path(sys.executable).parent
# The oldest and the newest Kubernetes that the manifests are for.
KUBERNETES = ["1.30", "1.37"]
# What checkov would have, and is not to be had.
NOT_WANTED = {
    "CKV_DOCKER_2": "a health check in the image: it has no command to make one with",
    "CKV_K8S_15": "an image that is fetched at each start: the registry would have to be up, too",
    "CKV_K8S_35": "no secret in a variable: the database's password comes from there, or from a file of its owner's, "
    "which a volume of Kubernetes cannot have",
    "CKV_K8S_43": "an image by its digest: there is one only when it is built",
}


def hadolint(target: Target) -> Iterator[str]:
    output = run(COMMANDS / "hadolint", "--no-fail", "--format=json", target.folder / "Dockerfile")
    for problem in json.loads(output):
        yield f"{problem['code']}: {problem['message']} (line {problem['line']})"


def checkov(target: Target) -> Iterator[str]:
    with TemporaryDirectory(prefix="signet-containers-") as folder:
        Path(folder, "Dockerfile").write_text((target.folder / "Dockerfile").read_text())
        Path(folder, "manifests.yaml").write_text(target.manifests)
        options = ["--compact", "--quiet", "--skip-download", "--output=json", f"--skip-check={','.join(NOT_WANTED)}"]
        frameworks = ["--framework", "dockerfile", "kubernetes"]
        output = json.loads(run(COMMANDS / "checkov", *options, *frameworks, "--directory", folder))
    reports = {report["check_type"]: report for report in output}
    for framework in frameworks[1:]:
        if reports[framework]["summary"]["passed"] == 0:
            yield f"checkov: it looked at nothing of {framework}"
        for failed in reports[framework]["results"]["failed_checks"]:
            yield f"{failed['check_id']}: {failed['check_name']} ({failed['resource']})"


def compose_schema(target: Target) -> Iterator[str]:
    options = ["--builtin-schema=vendor.compose-spec", "--output-format=json"]
    output = json.loads(run(COMMANDS / "check-jsonschema", *options, target.folder / "compose.yaml"))
    for error in [*output["errors"], *output.get("parse_errors", [])]:
        yield f"compose-spec: {error}"


def kustomization(target: Target) -> Iterator[str]:
    try:
        assert target.manifests
    except Unreadable as error:
        yield f"kustomize: {error}"


def kubernetes_schema(target: Target) -> Iterator[str]:
    for version in KUBERNETES:
        for one in [*target.objects, target.secret]:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"Kubernetes: {version}: {one['kind']}: {error}"


def haproxy_config(target: Target) -> Iterator[str]:
    command = ["haproxy", "-c", "-dW", "-f", target.folder / "haproxy.cfg"]
    output = subprocess.run(command, capture_output=True, text=True)
    if output.returncode:
        yield f"haproxy: {output.stdout}{output.stderr}"


def run(*command: object) -> str:
    """What a tool says, which is JSON. Its exit code tells no more than that."""
    with TemporaryDirectory(prefix="signet-containers-") as folder:
        output = subprocess.run(
            list(map(str, command)),
            # Some leave files behind.
            env=os.environ | {"HOME": folder, "TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    if not output.stdout:
        raise RuntimeError(output.stderr)
    return output.stdout
