"""Runs the workflows with Respect, the Arazzo runner of Redocly.

The name of a rejection is `operation-example`.
"""

import hmac
import json
import sqlite3
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from types import MappingProxyType

import proxy
import yaml
from exchanges import encoded, post
from target import FORMATS, JSON, Target, environment, serving, signet
from tools import NODE, redocly_lint, run
from wire import Answer, Request

DESCRIPTION = FORMATS["arazzo"]
LOGIN = "login"
TOO_LARGE = "x" * (64 * 1024 + 1)

# Examples that depend on the service. Further examples depend on a token (`rejected_tokens`).
OF_SERVICES = {"too_slow", "throttled", "failed", "unavailable"}
NOT_RUN = {"malformed": "Respect sends a text as a JSON string, which is not malformed"}

SECRET = "a signing secret of the tests, and of no service"
CREDENTIALS = {"email": "you@example.com", "password": "correct horse"}
DISABLED = "disabled@example.com"
# Fast hashes, and short timeouts.
SETTINGS = {
    "SIGNET_DATABASE_URL": "sqlite:signet.db",
    "SIGNET_JWT_SECRET": SECRET,
    "SIGNET_ARGON2_MEMORY_KIB": "32",
    "SIGNET_ARGON2_ITERATIONS": "1",
    "SIGNET_BODY_TIMEOUT": "1s",
}


def arazzo_lint(target: Target) -> Iterator[str]:
    yield from redocly_lint(target.path.with_name(DESCRIPTION))


def workflows(target: Target) -> Iterator[str]:
    """The rejections that depend only on the request."""
    special = rejected_tokens().keys() | OF_SERVICES | NOT_RUN.keys()
    names = [name for name in rejections(target) if example_of(name) not in special]
    inputs = target.credentials | {"oversized": TOO_LARGE}
    yield from respect(target, target.address, names, inputs)


def workflows_of_states(target: Target) -> Iterator[str]:
    """The rejections that depend on a token, its account or the service."""
    valid = CREDENTIALS | {"token": token()}
    tokens = rejected_tokens()
    with prepared() as (home, address):
        names = [name for name in rejections(target) if example_of(name) in tokens]
        yield from respect(target, address, names, valid, tokens)
        with proxy.proxy(address, proxy.slow) as slow:
            yield from respect(target, slow, of_example(target, "too_slow"), valid)
        database = sqlite3.connect(home / "signet.db")
        database.execute("ALTER TABLE users RENAME TO other")
        database.close()
        yield from respect(target, address, of_example(target, "failed"), valid)

    wrong = CREDENTIALS | {"password": "not the password", "token": "not a token"}
    limits = dict.fromkeys(["SIGNET_THROTTLE_ACCOUNT", "SIGNET_THROTTLE_ADDRESS"], "1/90s")
    with prepared(SIGNET_THROTTLE="on", **limits) as (_, address):
        for operation in target.operations.values():
            post(replace(target, address=address), operation, encoded(wrong))
        yield from respect(target, address, of_example(target, "throttled"), wrong)

    # The service has no setting that makes the database unreachable, so the proxy responds.
    answers = documented(target, "503")
    with proxy.proxy(target.address, lambda request, _: answers[request.path]) as address:
        yield from respect(target, address, of_example(target, "unavailable"), valid)


def workflow_with_retries(target: Target) -> Iterator[str]:
    """The login, while each operation first responds with each status that has `Retry-After`."""
    login = {
        operation.path
        for operation in target.operations.values()
        for body in operation.answers("200").values()
        if "token" in body
    }
    remaining = [
        {path: answer for path, answer in documented(target, status).items() if path in login}
        for status in ("429", "503")
    ]

    def rejects_first(request: Request, send: proxy.Send) -> Answer:
        rejections = (it.pop(request.path) for it in remaining if request.path in it)
        return next(rejections, None) or send(request)

    with proxy.proxy(target.address, rejects_first) as address:
        yield from respect(target, address, [LOGIN], target.credentials)
    if any(remaining):
        yield f"retries: the login did not get {remaining}"


def documented(target: Target, status: str) -> dict[str, Answer]:
    """The documented response with this status and `Retry-After`, by the path of the operation."""
    return {
        operation.path: Answer(
            int(status), {"content-type": JSON, "retry-after": "1"}, encoded(body)
        )
        for operation in target.operations.values()
        for body in operation.answers(status).values()
    }


def rejections(target: Target) -> list[str]:
    """The names of the workflows that the document requires."""
    return [
        f"{name}-{example}"
        for name, operation in target.operations.items()
        for status in operation.responses
        if status != "200"
        for example in operation.answers(status)
    ]


def of_example(target: Target, example: str) -> list[str]:
    return [name for name in rejections(target) if example_of(name) == example]


def example_of(rejection: str) -> str:
    return rejection.partition("-")[2]


def respect(
    target: Target,
    address: str,
    names: Iterable[str],
    inputs: dict[str, str],
    tokens: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """Runs workflows, and yields the checks that fail. `tokens` has the tokens of some examples.

    Respect has the same inputs for all workflows, and ignores the header `Retry-After`. A copy of
    the description therefore contains the tokens, and no time before a retry.
    """
    description = yaml.safe_load(target.path.with_name(DESCRIPTION).read_text())
    for action in description["components"]["failureActions"].values():
        action["retryAfter"] = 0
    for workflow in description["workflows"]:
        if own := tokens.get(example_of(workflow["workflowId"])):
            workflow["steps"][0]["requestBody"]["payload"]["token"] = own
    options = [f"--workflow={name}" for name in names]
    options += [f"--input={name}={value}" for name, value in inputs.items()]
    options += [f"--server=signet=http://{address}", "--json-output=report.json"]
    with TemporaryDirectory() as folder:
        copy(target.path, Path(folder, "openapi.json"))
        Path(folder, DESCRIPTION).write_text(yaml.safe_dump(description))
        output = run(folder, NODE / ".bin/redocly", "respect", DESCRIPTION, *options)
        report = Path(folder, "report.json")
        if not report.exists():
            raise RuntimeError(output.stdout + output.stderr)
        (file,) = json.loads(report.read_text())["files"].values()
    executed = file["executedWorkflows"]
    ran = sorted(workflow["workflowId"] for workflow in executed)
    if ran != sorted(names):
        yield f"workflows: ran {ran}, not {sorted(names)}"
    # A workflow that succeeds after a retry also has the checks that failed before.
    for workflow in executed:
        if workflow["status"] != "success":
            for step in workflow["executedSteps"]:
                failed = (check for check in step["checks"] if not check["passed"])
                name = f"{workflow['workflowId']} {step['stepId']}"
                yield from (f"{check['name']}: {name}: {check['message']}" for check in failed)


@contextmanager
def prepared(**settings: str) -> Iterator[tuple[Path, str]]:
    """Runs a service with an account and a disabled account, and yields its folder and address."""
    settings = SETTINGS | settings
    with TemporaryDirectory() as home:
        for arguments in (
            ["create", CREDENTIALS["email"], "--password-stdin"],
            ["create", DISABLED, "--password-stdin"],
            ["disable", DISABLED],
        ):
            subprocess.run(
                [signet(), "user", *arguments],
                cwd=home,
                env=environment(**settings),
                input=CREDENTIALS["password"] + "\n",
                capture_output=True,
                text=True,
                check=True,
            )
        with serving(home, **settings) as address:
            yield Path(home), address


def rejected_tokens() -> dict[str, str]:
    now = int(time.time())
    return {
        "expired_token": token(exp=now - 1),
        "no_subject": token(user_id=None),
        "unknown_user": token(user_id=3),
        "disabled_user": token(user_id=2, email=DISABLED),
        "no_orig_iat": token(orig_iat=None),
        "window_passed": token(orig_iat=now - 8 * 24 * 3600),
    }


def token(**changes: object) -> str:
    """Signs a token of the account with these claims. The value None removes a claim."""
    now = int(time.time())
    email = changes.get("email", CREDENTIALS["email"])
    claims = {"user_id": 1, "username": email, "email": email, "exp": now + 60, "orig_iat": now}
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    header = {"typ": "JWT", "alg": "HS256"}
    message = ".".join(base64url(encoded(part)) for part in (header, claims))
    return f"{message}.{base64url(hmac.digest(SECRET.encode(), message.encode(), 'sha256'))}"


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
