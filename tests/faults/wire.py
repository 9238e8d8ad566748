"""Requests as bytes, for what no client library sends, and their answers."""

import json
import socket
import time

from service import OBTAIN, PASSWORD


def connect(port, timeout=60):
    return socket.create_connection(("127.0.0.1", port), timeout)


def request(path, body, *headers, method="POST"):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


def login(email, *headers):
    return request(OBTAIN, json.dumps({"email": email, "password": PASSWORD}), *headers)


def read(connection):
    """All that comes until the other side closes. A reset after an answer is an end, too."""
    read = b""
    try:
        while piece := connection.recv(65536):
            read += piece
    except ConnectionResetError:
        pass
    return read


def exchange(port, sent, end=False):
    """What is answered to these bytes; with `end`, the client says at once that it has no more to send."""
    with connect(port) as connection:
        connection.sendall(sent)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return read(connection)


def answers(text):
    """The status and the body of each answer in a stream of them."""
    found = []
    while text:
        head, _, text = text.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        found.append((int(status.split()[1]), json.loads(text[:length])))
        text = text[length:]
    return found


def trickle(port, at_once, slowly):
    """Sends a byte a second, until there is an end. Returns what came, and after how many seconds."""
    with connect(port, timeout=1) as connection:
        started = time.monotonic()
        connection.sendall(at_once)
        came = b""
        for byte in slowly:
            try:
                if not (piece := connection.recv(65536)):
                    break
                came += piece
            except TimeoutError:
                connection.sendall(bytes([byte]))
            except ConnectionResetError:
                break
        else:
            raise AssertionError(f"all of it was taken, and answered with {came}")
        return came, time.monotonic() - started
