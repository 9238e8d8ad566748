"""Sends requests as bytes that no client library can send, and parses the responses."""

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
    """Reads until the other side closes or resets the connection. Returns all bytes."""
    read = b""
    try:
        while piece := connection.recv(65536):
            read += piece
    except ConnectionResetError:
        pass
    return read


def exchange(port, sent, end=False):
    """Sends bytes, and returns the response. With `end`, the client closes its sending side after the bytes."""
    with connect(port) as connection:
        connection.sendall(sent)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return read(connection)


def answers(text):
    """Returns the status and the body of each response in a byte stream."""
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
    """Sends `at_once`, then one byte of `slowly` per second, until the server closes the connection. Returns the response and the
    seconds."""
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
            raise AssertionError(f"the server accepted all bytes, and responded with {came}")
        return came, time.monotonic() - started
