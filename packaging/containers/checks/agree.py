"""What these files say of the service and of each other, held against it: settings, libraries, times, and files."""

import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from container import in_compose, in_kubernetes
from target import REPOSITORY, SIGNET, Target

# Debian's packages with libraries in each image of distroless.
BASE = {"libc6", "libssl3"}
DISTROLESS = {"static": set(), "base": BASE, "cc": BASE | {"gcc-12-base", "libgcc-s1", "libgomp1", "libstdc++6"}}
# Seconds for the requests in flight, unless SIGNET_STOP_TIMEOUT tells others, and for the operators' listener then.
IN_FLIGHT, OPERATORS = "30", 3


def libraries() -> list[Path]:
    """What the binary is linked with, as it was found."""
    output = subprocess.run(["ldd", SIGNET], capture_output=True, text=True, check=True).stdout
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", output)]


def image_has_the_libraries(target: Target) -> Iterator[str]:
    kind = target.image.base.removeprefix("gcr.io/distroless/").partition("-")[0]
    for library in libraries():
        # It may be named by way of /lib, which is /usr/lib.
        command = ["dpkg-query", "--search", f"*/{library.name}"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        packages = set(re.findall(r"^([^:\s]+)", output, re.MULTILINE))
        if not packages & DISTROLESS[kind]:
            yield f"library: {library.name}, of {', '.join(packages)}, is not in {target.image.base}"


def settings_are_known(target: Target) -> Iterator[str]:
    """`signet config show` reads every setting, and none of the files that they name."""
    environments = {"Dockerfile": target.image.environment}
    environments |= {name: in_compose(target, name).environment for name in target.replicas}
    environments["the Deployment"] = in_kubernetes(target, target.secret["stringData"]).environment
    for origin, environment in environments.items():
        output = subprocess.run([SIGNET, "config", "show"], env=environment, capture_output=True, text=True)
        if output.returncode or "SIGNET_" in output.stderr:
            yield f"setting: in {origin}: {output.stderr.strip()}"


def a_stop_has_time(target: Target) -> Iterator[str]:
    containers = {name: in_compose(target, name) for name in target.replicas}
    times = {name: seconds(service["stop_grace_period"]) for name, service in target.replicas.items()}
    containers["the Deployment"] = in_kubernetes(target, target.secret["stringData"])
    times["the Deployment"] = target.pod["terminationGracePeriodSeconds"]
    for name, container in containers.items():
        settings = {"SIGNET_STOP_TIMEOUT": IN_FLIGHT} | container.environment
        takes = seconds(settings["SIGNET_STOP_DELAY"]) + seconds(settings["SIGNET_STOP_TIMEOUT"]) + OPERATORS
        if times[name] < takes:
            yield f"stop: {name} is killed after {times[name]} s, and may take {takes} s"


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def compose_is_hardened(target: Target) -> Iterator[str]:
    """As a linter would say it, of which none for Compose can be had here."""
    wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    for name, service in target.compose["services"].items():
        for key, value in wanted.items():
            if service.get(key) != value:
                yield f"hardening: {name} has no {key}: {value}"
        if "mem_limit" not in service:
            yield f"hardening: {name} may take all memory"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"hardening: {name} is open to the world"


def build_has_its_files(target: Target) -> Iterator[str]:
    """Cargo tells beside the binary of which files it was built."""
    lines = (target.folder / "Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    told = Path(f"{SIGNET}.d").read_text().partition(": ")[2].split()
    read = {Path(path).relative_to(REPOSITORY) for path in told if Path(path).is_relative_to(REPOSITORY)}
    if not read:
        yield f"context: {SIGNET}.d tells of another repository: {told[:1]}"
    read |= {path.relative_to(REPOSITORY) for path in REPOSITORY.glob(".cargo/*")}
    # Each member of the workspace is read, whether it is built or not.
    read |= {Path(name) for name in ["Cargo.toml", "Cargo.lock", "migration/Cargo.toml", "openapi/diff/Cargo.toml"]}
    # How a release is built.
    read |= {Path("packaging") / name for name in ["build", "fits", "signet.profdata", "signet.profdata.fits"]}
    for path in sorted(read):
        if ignored(path, patterns):
            yield f"context: the build reads {path}, which .dockerignore keeps away"
    for path in ["data/signet.db", "packaging/containers/secrets/jwt", ".git/config", "target/release/signet"]:
        if not ignored(Path(path), patterns):
            yield f"context: the build has no use for {path}"


def ignored(path: Path, patterns: list[str]) -> bool:
    """The last pattern counts that a path, or a folder that it is in, is like."""
    places = [str(place) for place in [path, *path.parents[:-1]]]
    verdict = False
    for pattern in patterns:
        if any(fnmatch(place, pattern.removeprefix("!")) for place in places):
            verdict = not pattern.startswith("!")
    return verdict
