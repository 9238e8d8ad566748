"""Sends one request, and returns the raw response: no redirects, retries or decoding."""

from dataclasses import dataclass, field
from http.client import HTTPConnection

# Headers of the connection instead of the message.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass
class Request:
    method: str
    path: str
    # The names are in lower case.
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def send(address: str, request: Request) -> Answer:
    """Sends a request to `address` (host and port) with only the required headers."""
    headers = {"host": address, "content-length": str(len(request.body))} | request.headers
    connection = HTTPConnection(address, timeout=30)
    try:
        connection.putrequest(
            request.method, request.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(request.body)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    kept = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, {name: kept[name] for name in kept.keys() - HOP_BY_HOP}, body)
