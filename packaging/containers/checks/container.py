"""A container as the files describe it, without Docker: the binary, with the libraries of its image alone, in a root
that it cannot write to, as the user of the image, with nothing but the environment and the secrets that are given."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from target import SIGNET, Target, Unreadable

# That of distroless. Debian has the commands that make the container there, too.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMES = {"etc/resolv.conf": "nameserver 127.0.0.11\n", "etc/nsswitch.conf": "hosts: files dns\n"}
# Mounts that end with the container. Who is not root and gains nothing has no capability.
ENTER = """
mount --bind "$0" "$0"
mount --bind /proc "$0/proc"
mount --options remount,bind,ro "$0"
user=$1
shift
exec setpriv --no-new-privs chroot --userspec="$user" "$0" "$@"
"""


@dataclass(frozen=True)
class File:
    content: bytes
    owner: int
    group: int
    mode: int


@dataclass
class Container:
    user: str
    environment: dict[str, str]
    command: list[str]
    files: dict[str, File]
    root: Path | None = None
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def build(self, root: Path, binary: str, libraries: list[Path]) -> None:
        self.root, self.log = root, root.with_name(f"{root.name}.log")
        for folder in ["proc", "etc"]:
            (root / folder).mkdir(parents=True)
        for name, text in NAMES.items():
            (root / name).write_text(text)
        for source, path in [*((library, str(library)) for library in libraries), (SIGNET, binary)]:
            to = root / path.removeprefix("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, to)
        for path, file in self.files.items():
            to = root / path.removeprefix("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(file.content)
            to.chmod(file.mode)
            os.chown(to, file.owner, file.group)

    def at(self, address: str, proxy: str) -> None:
        """The one thing that differs from Docker: containers share a network, in which each has an address."""
        for name, value in self.environment.items():
            self.environment[name] = value.replace("0.0.0.0:", f"{address}:").replace(proxy, "127.0.0.1")

    def enter(self, *command: str) -> list[str]:
        return ["unshare", "--mount", "sh", "-ec", ENTER, str(self.root), self.user, *command]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.enter(*self.command), env=self.environment, stdout=log, stderr=log)

    def run(self, *arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:
        """Another command of the image."""
        command = self.enter(self.command[0], *arguments)
        return subprocess.run(command, env=self.environment, input=input, capture_output=True, text=True, timeout=30)

    def said(self) -> str:
        return self.log.read_text()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.root)


def in_compose(target: Target, name: str) -> Container:
    service, image = target.compose["services"][name], target.image
    files = {}
    for secret in service["secrets"]:
        path = target.folder / target.compose["secrets"][secret]["file"]
        if path.exists():
            # It is mounted as it is: its owner and its mode count.
            of = path.stat()
            files[f"/run/secrets/{secret}"] = File(path.read_bytes(), of.st_uid, of.st_gid, of.st_mode & 0o777)
    return Container(
        user=service.get("user", image.user),
        environment={"PATH": PATH} | image.environment | service["environment"],
        command=image.command[:1] + service.get("command", image.command[1:]),
        files=files,
    )


def in_kubernetes(target: Target, secret: dict[str, str]) -> Container:
    """The container of the Deployment, when this is in the Secret."""
    pod, image = target.pod, target.image
    (described,) = pod["containers"]
    context = pod["securityContext"] | described["securityContext"]
    environment = {"PATH": PATH} | image.environment
    settings = target.object("ConfigMap")
    for source in described["envFrom"]:
        environment |= named(source["configMapRef"], settings)["data"]
    for variable in described["env"]:
        reference = variable["valueFrom"]["secretKeyRef"]
        named(reference, target.secret)
        environment[variable["name"]] = secret[reference["key"]]
    volumes = {volume["name"]: volume["secret"] for volume in pod["volumes"]}
    files = {}
    for mount in described["volumeMounts"]:
        volume = volumes[mount["name"]]
        named({"name": volume["secretName"]}, target.secret)
        for item in volume["items"]:
            # The group may read a volume's file, whatever its mode.
            file = File(secret[item["key"]].encode(), 0, context["fsGroup"], volume["defaultMode"] | 0o440)
            files[f"{mount['mountPath']}/{item['path']}"] = file
    return Container(
        user=f"{context['runAsUser']}:{context['runAsGroup']}",
        environment=environment,
        command=described.get("command", image.command[:1]) + described.get("args", image.command[1:]),
        files=files,
    )


def named(reference: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    if reference["name"] != one["metadata"]["name"]:
        raise Unreadable(f"there is no {one['kind']} {reference['name']}")
    return one
