"""Our checks for behavior that no tool covers: sequences of requests, and other media types.

Each check yields its findings, which start with the kind of the fault. The checks also compare
every response with the document.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from jsonschema.validators import validator_for
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from target import JSON, Operation, Target
from wire import Answer, Request, send


def example_pairs(target: Target) -> Iterator[str]:
    """Each example request with the name of an example response gets exactly this response."""
    for operation in target.operations.values():
        for status, name in operation.pairs():
            answer = post(target, operation, encoded(operation.requests[name]))
            yield from differences(target, operation, answer, status, operation.answers(status)[name])


def obtain_then_refresh(target: Target) -> Iterator[str]:
    """Obtains a token, refreshes it, and refreshes the new token. All tokens belong to one login."""
    answer = post(target, target.obtain, encoded(target.credentials))
    yield from differences(target, target.obtain, answer, "200")
    if answer.status != 200:
        return
    login = json.loads(answer.body)
    claims = claims_of(login["token"])
    if claims["exp"] - claims["orig_iat"] != login["expires_in"]:
        yield f"expiry: {login['expires_in']} does not match {claims}"

    url = urlsplit(target.document["externalDocs"]["url"]).path
    schema = json.loads(send(target.address, Request("GET", url)).body)
    valid = validator_for(schema)(schema)
    token = login["token"]
    for _ in range(2):
        answer = post(target, target.refresh, encoded({"token": token}))
        yield from differences(target, target.refresh, answer, "200")
        if answer.status != 200:
            return
        token = json.loads(answer.body)["token"]
        newer = claims_of(token)
        yield from (f"claims: {error.message}" for error in valid.iter_errors(newer))
        if newer | {"exp": 0} != claims | {"exp": 0} or newer.get("exp", 0) < claims["exp"]:
            yield f"session: {newer} does not continue {claims}"


def media_types(target: Target) -> Iterator[str]:
    """The service accepts only JSON, in any letter case and with any parameters."""
    for operation in target.operations.values():
        status, name = next(operation.pairs())
        body = encoded(operation.requests[name])
        for media_type in (JSON, "Application/JSON", f"{JSON}; charset=utf-8", f"{JSON};v=1"):
            answer = post(target, operation, body, media_type)
            yield from differences(target, operation, answer, status, operation.answers(status)[name])
        for other in (
            None,
            "",
            "text/plain",
            "text/json",
            "application/*",
            "application/jsonp",
            "application/problem+json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            f"text/plain; {JSON}",
        ):
            (example,) = operation.answers("415").values()
            detail = example["detail"].replace("text/plain", other or "")
            answer = post(target, operation, body, other)
            yield from differences(target, operation, answer, "415", {"detail": detail})


def refusals(target: Target) -> Iterator[str]:
    """Responses to requests without examples in OpenAPI: bodies that are not JSON, or too large."""
    for operation in target.operations.values():
        for status, name, body in (
            ("400", "malformed", b"{"),
            ("413", "too_large", encoded({"padding": "x" * 64 * 1024})),
        ):
            answer = post(target, operation, body)
            yield from differences(target, operation, answer, status, operation.answers(status)[name])


def post(
    target: Target, operation: Operation, body: bytes, media_type: str | None = JSON
) -> Answer:
    headers = {} if media_type is None else {"content-type": media_type}
    return send(target.address, Request(operation.method, operation.path, headers, body))


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def differences(
    target: Target, operation: Operation, answer: Answer, status: str, expected: Any = None
) -> Iterator[str]:
    """Yields the differences between a response and the document, the expected status and body."""
    place = f"{operation.path} {answer.status} {answer.body[:200]!r}"
    if str(answer.status) != status:
        yield f"status: {place} is not a {status}"
    documented = operation.responses.get(str(answer.status))
    if documented is None:
        yield f"undocumented: {place}"
        return
    for name, header in documented.get("headers", {}).items():
        if header.get("required") and name.lower() not in answer.headers:
            yield f"header: {place} lacks {name}"
    content = documented["content"].get(answer.headers.get("content-type"))
    if content is None:
        yield f"content type: {place} is {answer.headers.get('content-type')}"
        return
    schema = content["schema"] | {"components": target.document["components"]}
    body = json.loads(answer.body)
    validator = OAS30Validator(schema, format_checker=oas30_format_checker)
    yield from (f"schema: {place}: {error.message}" for error in validator.iter_errors(body))
    if expected is not None and "token" in expected and status == "200":
        # Each response has a new token.
        expected = expected | {"token": body.get("token")}
    if expected not in (None, body):
        yield f"body: {place} is not {expected}"
