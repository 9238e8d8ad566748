"""A proxy that plants one fault in the responses of the service. A check must find the fault."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from wire import Answer, Request, send

Send = Callable[[Request], Answer]
Fault = Callable[[Request, Send], Answer]


def no_fault(request: Request, send: Send) -> Answer:
    return send(request)


def wrong_content_type(request: Request, send: Send) -> Answer:
    answer = send(request)
    if answer.status == 400:
        answer.headers["content-type"] = "text/html"
    return answer


def undocumented_status(request: Request, send: Send) -> Answer:
    answer = send(request)
    if answer.status == 400:
        answer.status = 422
    return answer


def wrong_field_type(request: Request, send: Send) -> Answer:
    answer = send(request)
    if request.method == "POST" and answer.status == 200:
        token = json.loads(answer.body)
        token["expires_in"] = str(token["expires_in"])
        answer.body = json.dumps(token).encode()
    return answer


def other_message(request: Request, send: Send) -> Answer:
    answer = send(request)
    answer.body = answer.body.replace(b"Unable to log in", b"Cannot log in")
    return answer


def no_allow(request: Request, send: Send) -> Answer:
    answer = send(request)
    if answer.status == 405:
        del answer.headers["allow"]
    return answer


def wrong_allow(request: Request, send: Send) -> Answer:
    answer = send(request)
    if request.method == "OPTIONS":
        answer.headers["allow"] = "GET, OPTIONS"
    return answer


def undocumented_method(request: Request, send: Send) -> Answer:
    answer = send(request)
    if answer.status == 405:
        return Answer(200, {"content-type": "application/json"}, b"{}")
    return answer


def fails_on_odd_input(request: Request, send: Send) -> Answer:
    if request.body.startswith(b"["):
        return Answer(
            500, {"content-type": "application/json"}, b'{"detail": "A server error occurred."}'
        )
    return send(request)


def redirect(request: Request, send: Send) -> Answer:
    if request.method == "POST" and request.path.endswith("/"):
        return Answer(308, {"location": request.path.rstrip("/")}, b"")
    return send(request)


def dropped_header(request: Request, send: Send) -> Answer:
    answer = send(request)
    if answer.status == 400:
        # The document requires `Retry-After` in a 503, and this response lacks it.
        answer.status = 503
    return answer


def accepts_anything(request: Request, send: Send) -> Answer:
    answer = send(request)
    if answer.status == 400:
        token = {"type": "JWT", "token": "none", "expires_in": 3600}
        return Answer(200, answer.headers, json.dumps(token).encode())
    return answer


def any_media_type(request: Request, send: Send) -> Answer:
    request.headers["content-type"] = "application/json"
    return send(request)


def another_user(request: Request, send: Send) -> Answer:
    answer = send(request)
    if "refresh" in request.path and answer.status == 200:
        token = json.loads(answer.body)
        head, payload, signature = token["token"].split(".")
        claims = json.loads(urlsafe_b64decode(payload + "=="))
        payload = (
            urlsafe_b64encode(json.dumps(claims | {"user_id": 2}).encode()).decode().rstrip("=")
        )
        answer.body = json.dumps(token | {"token": f"{head}.{payload}.{signature}"}).encode()
    return answer


def no_size_limit(request: Request, send: Send) -> Answer:
    request.body = request.body[:1024]
    request.headers["content-length"] = str(len(request.body))
    return send(request)


def slow(request: Request, send: Send) -> Answer:
    """Announces a byte that never arrives."""
    request.headers["content-length"] = str(len(request.body) + 1)
    return send(request)


@contextmanager
def proxy(address: str, fault: Fault) -> Iterator[str]:
    """Runs the proxy in front of the service at `address`, and yields the address of the proxy."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            request = Request(self.command, self.path, headers, body)
            answer = fault(request, lambda request: send(address, request))
            self.send_response_only(answer.status)
            if self.command != "HEAD" and answer.status != 204:
                answer.headers["content-length"] = str(len(answer.body))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def __getattr__(self, name: str) -> Callable[[], None]:
            # Forwards every method (`do_GET` and so on), also unknown methods.
            if name.startswith("do_"):
                return self.forward
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
