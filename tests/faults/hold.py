"""Opens many connections, and reports when the server closes them.

    python3 hold.py PORT COUNT          sends no request
    python3 hold.py PORT COUNT ask      sends a request on each connection, and another request after a line on stdin

It runs as a separate process, and raises its limit of open files to the hard limit.
"""

import json
import resource
import selectors
import socket
import sys
import time

REQUEST = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"


def main(port, count, asks=False):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    opened = {socket.create_connection(("127.0.0.1", port), timeout=60): time.monotonic() for _ in range(count)}
    answered = ask(opened) if asks else 0
    tell(held=len(opened), answered=answered)
    if asks:
        sys.stdin.readline()
        tell(answered=ask(opened))
    selector = selectors.DefaultSelector()
    for connection in opened:
        selector.register(connection, selectors.EVENT_READ)
    seconds = []
    while selector.get_map():
        for key, _ in selector.select():
            if key.fileobj.recv(1) == b"":
                seconds.append(time.monotonic() - opened[key.fileobj])
                selector.unregister(key.fileobj)
                key.fileobj.close()
    tell(closed=len(seconds), soonest=min(seconds), latest=max(seconds))


def ask(connections):
    """Sends a request on each connection. Returns the number of correct responses."""
    for connection in connections:
        connection.sendall(REQUEST)
    return sum(connection.recv(4096).startswith(b"HTTP/1.1 404") for connection in connections)


def tell(**what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
