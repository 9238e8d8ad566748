"""Opens many connections, sends nothing, and tells when the other side has closed them.

    python3 hold.py PORT COUNT

It is a process of its own, which may open as many files as the service may.
"""

import json
import resource
import selectors
import socket
import sys
import time


def main(port, count):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    selector = selectors.DefaultSelector()
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        selector.register(connection, selectors.EVENT_READ, time.monotonic())
    print(json.dumps({"held": len(selector.get_map())}), flush=True)
    seconds = []
    while selector.get_map():
        for key, _ in selector.select():
            if key.fileobj.recv(1) == b"":
                seconds.append(time.monotonic() - key.data)
                selector.unregister(key.fileobj)
                key.fileobj.close()
    print(json.dumps({"closed": len(seconds), "soonest": min(seconds), "latest": max(seconds)}), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
