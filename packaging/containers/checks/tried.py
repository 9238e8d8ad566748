"""What is tried, with real processes and sockets: replicas behind HAProxy as compose.yaml has them, and a replica as
the Deployment has it."""

import http.client
import json
import re
import secrets
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import yaml

from agree import libraries
from container import Container, in_compose, in_kubernetes
from network import Balancer, Database, until
from target import Target

# Of tests/faults, where `network` has us look.
import jwt
from load import Load
from service import OBTAIN, PASSWORD, REFRESH

EMAILS = [f"client-{number}@example.com" for number in range(4)]
LOCAL = "127.0.0.1"
# Where the containers are, and a client that is none of them.
ADDRESSES, CLIENT = ["127.0.0.21", "127.0.0.22"], "127.0.0.77"
# Somebody's address, which a client may claim.
CLAIMED = "203.0.113.9"
# A trace, which a client may claim.
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
# Set by `main`.
DATABASE: Database


@dataclass
class Stack:
    replicas: list[Container]
    balancer: Balancer

    def serving(self, answer: http.client.HTTPMessage) -> Container:
        """Which of them gave an answer: its log has the request's id."""
        of = f'"{answer["X-Request-Id"]}"'
        return until(lambda: next((one for one in self.replicas if of in one.said()), None), "the log has the request")


@contextmanager
def stack(target: Target, *emails: str) -> Iterator[Stack]:
    """What `docker compose up` starts, with these accounts."""
    with ExitStack() as cleanup:
        made = subprocess.run([target.folder / "make-secrets"], capture_output=True, text=True)
        # An earlier check may have made them.
        assert made.returncode == 0 or "File exists" in made.stderr, made.stderr
        DATABASE.renew((target.folder / "secrets/database-password").read_text().strip())
        # The load looks at signatures.
        jwt.SECRET = (target.folder / "secrets/jwt").read_text().strip()
        proxy = target.compose["services"]["haproxy"]["networks"]["front"]["ipv4_address"]
        replicas = [in_compose(target, name) for name in target.replicas]
        folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="signet-containers-")))
        for container, address in zip(replicas, ADDRESSES, strict=True):
            container.at(address, proxy)
            container.build(folder / address, target.image.binary, libraries())
            cleanup.callback(container.close)
        for email in emails:
            added = replicas[0].run("user", "add", email, "--password-stdin", input=PASSWORD)
            assert added.returncode == 0, added
        for container, address in zip(replicas, ADDRESSES, strict=True):
            container.start()
            until(lambda: answers(container, address), lambda: f"{address} is ready; it said: {container.said()}")
        balancer = Balancer(target.folder / "haproxy.cfg")
        cleanup.callback(balancer.close)
        balancer.until_ready()
        yield Stack(replicas, balancer)


def answers(container: Container, address: str = LOCAL) -> bool:
    assert not container.ended(), f"it ended: {container.said()}"
    return probe(address, 9000, "/readyz") == 200


def ask(
    method: str, address: str, port: int, path: str, body: object = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    """An answer's status, headers and body."""
    client = http.client.HTTPConnection(address, port, timeout=15, source_address=(CLIENT, 0))
    try:
        client.request(method, path, json.dumps(body), {"Content-Type": "application/json"} | headers)
        answer = client.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        client.close()


def probe(address: str, port: int, path: str) -> int | None:
    """The status, or none where nobody listens yet."""
    try:
        return ask("GET", address, port, path)[0]
    except ConnectionRefusedError:
        return None


def token_of_one_refreshes_at_the_other(target: Target) -> Iterator[str]:
    with stack(target, EMAILS[0]) as tried:
        credentials = {"email": EMAILS[0], "password": PASSWORD}
        status, headers, body = ask("POST", LOCAL, 8080, OBTAIN, credentials)
        if status != 200:
            yield f"obtain: {status} {body}"
            return
        first = tried.serving(headers)
        token = {"token": json.loads(body)["token"]}
        for _ in range(4):
            status, headers, body = ask("POST", LOCAL, 8080, REFRESH, token)
            if tried.serving(headers) is not first:
                break
        else:
            yield "balance: five requests in a row went to one replica"
        if status != 200:
            yield f"refresh: {status} {body}"


def clients_address_arrives(target: Target) -> Iterator[str]:
    """What the client claims of itself does not count: neither its address, nor the id of its request, nor its trace."""
    with stack(target) as tried:
        credentials = {"email": EMAILS[0], "password": "wrong"}
        for header in ["X-Forwarded-For", "Forwarded"]:
            value = CLAIMED if header != "Forwarded" else f"for={CLAIMED}"
            trace = f"00-{TRACE}-00f067aa0ba902b7-01"
            claims = {header: value, "X-Request-Id": "claimed", "traceparent": trace}
            _, headers, _ = ask("POST", LOCAL, 8080, OBTAIN, credentials, **claims)
            if headers["X-Request-Id"] == "claimed":
                yield "request id: it is the client's own"
            said = tried.serving(headers).said().splitlines()
            if any(TRACE in line for line in said):
                yield "trace: it is the client's own"
            events = [json.loads(line) for line in said if '"login_failed"' in line]
            if events[-1]["address"] != CLIENT:
                yield f"address: {events[-1]['address']}, with {header}: {value} from {CLIENT}"


def stop_of_one_loses_no_request(target: Target) -> Iterator[str]:
    with stack(target, *EMAILS) as tried, Load(tried.balancer.port, EMAILS) as load:
        load.steady(20)
        stopped = tried.replicas[0].process
        stopped.terminate()
        code = stopped.wait(60)
        load.steady(20)
        if code:
            yield f"stop: it ended with {code}"
        if errors := load.errors():
            yield f"lost: {dict(errors)} of {len(load.answers)} requests"


@contextmanager
def pod(target: Target, secret: dict[str, str]) -> Iterator[Container]:
    """A replica as the Deployment has it. It is alone, so that it can have every address."""
    with TemporaryDirectory(prefix="signet-containers-") as folder:
        container = in_kubernetes(target, secret)
        container.build(Path(folder, "pod"), target.image.binary, libraries())
        try:
            container.start()
            yield container
        finally:
            container.close()


def as_the_readme_makes_it(target: Target) -> dict[str, str]:
    """What is in the Secret, after the command of the README."""
    readme = (target.folder / "README.md").read_text()
    (command,) = re.findall(r"^kubectl .* create secret (?:.*\\\n)*.*$", readme, re.MULTILINE)
    with TemporaryDirectory(prefix="signet-containers-") as folder:
        Path(folder, "password").write_text(f"{secrets.token_hex(32)}\n")
        print_it = ["bash", "-c", f"{command} --dry-run=client --output=yaml"]
        output = subprocess.run(print_it, cwd=folder, capture_output=True, text=True, check=True).stdout
    return {key: b64decode(value).decode() for key, value in yaml.safe_load(output)["data"].items()}


def probes_are_answered(target: Target) -> Iterator[str]:
    """While the replica runs; and while it stops, it is alive and not ready."""
    secret = as_the_readme_makes_it(target)
    DATABASE.renew(secret["database-password"])
    with pod(target, secret) as container:
        until(lambda: answers(container), lambda: f"the replica is ready; it said: {container.said()}")
        (described,) = target.pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in described["ports"]}

        def asked() -> dict[str, int | None]:
            found = {}
            for name in ["startupProbe", "livenessProbe", "readinessProbe"]:
                get = described[name]["httpGet"]
                found[name] = probe(LOCAL, ports.get(get["port"], get["port"]), get["path"])
            return found

        for name, status in asked().items():
            if status != 200:
                yield f"{name}: {status}"
        annotations = target.object("Deployment")["spec"]["template"]["metadata"]["annotations"]
        metrics = int(annotations["prometheus.io/port"]), annotations["prometheus.io/path"]
        if (status := probe(LOCAL, *metrics)) != 200:
            yield f"metrics: {status}"
        (service,) = target.object("Service")["spec"]["ports"]
        if (status := probe(LOCAL, ports[service["targetPort"]], OBTAIN)) != 405:
            yield f"service: {status}"
        container.process.terminate()
        stopping = until(lambda: (now := asked())["readinessProbe"] != 200 and now, "it is not ready any more")
        if stopping["livenessProbe"] != 200 or stopping["readinessProbe"] != 503:
            yield f"stopping: {stopping}"


def database_is_healthy(target: Target) -> Iterator[str]:
    kind, *command = target.compose["services"]["postgres"]["healthcheck"]["test"]
    command[0] = str(DATABASE.server.binaries / command[0])
    output = subprocess.run(command, capture_output=True, text=True)
    if kind != "CMD" or output.returncode:
        yield f"health: {kind} ended with {output.returncode}: {output.stderr}"


def placeholders_are_refused(target: Target) -> Iterator[str]:
    with pod(target, target.secret["stringData"]) as container:
        until(lambda: container.ended() or probe(LOCAL, 9000, "/healthz"), "it starts or ends", 10)
        if container.process.poll() != 1 or "too short" not in container.said():
            yield f"placeholder: it was not refused: {container.said()}"


def hosts(target: Target) -> dict[str, str]:
    """The names by which they look for each other."""
    containers = [in_compose(target, name) for name in target.replicas]
    containers.append(in_kubernetes(target, target.secret["stringData"]))
    databases = {urlsplit(one.environment["SIGNET_DATABASE_URL"]).hostname for one in containers}
    return dict.fromkeys(databases, LOCAL) | dict(zip(target.replicas, ADDRESSES, strict=True))
