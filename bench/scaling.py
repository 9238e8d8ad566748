"""What a refresh and a login cost the service and its database, and what memory a connection takes, for the arithmetic of docs/scaling.md.

Processor time is counted by the kernel, process by process: it tells what one core can do, however many there are.
"""

import os
import socket
import time

from contenders import HERE, OnPostgres, OnSqlite, seconds
from effort import LONG, SHORT, WARM
from load import CORES, may_open, processor, wrk

PAGE = HERE.parent / "docs/scaling.md"
START, END = "<!-- measured -->", "<!-- /measured -->"
# So many ask at once, for so many accounts.
WHO = {"refresh": (16, 64), "obtain": (8, 1)}
# So many connections are talked on.
TALKING = 4_000
COMMITTED = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'signet'"


def used(contender):
    """Seconds of the service and of its database so far, and transactions."""
    own = seconds(contender.process.pid)
    if not isinstance(contender, OnPostgres):
        return own, 0, 0
    time.sleep(1)  # A backend tells of its transactions once a second.
    return own, contender.seconds() - own, int(contender.postgres.sql(COMMITTED))


def row(contender, operation):
    connections, accounts = WHO[operation]
    bodies = contender.bodies(operation)[:accounts]
    asked = {"connections": connections, "cores": CORES}
    wrk(contender, operation, bodies, seconds=WARM, **asked)
    before = used(contender)
    requests = wrk(contender, operation, bodies, seconds=LONG, **asked)["requests"]
    own, theirs, transactions = ((late - early) / requests for early, late in zip(before, used(contender)))
    apart = isinstance(contender, OnPostgres)
    database = f"{theirs * 1000:.3f} ms | {transactions:.1f}" if apart else "in the service | -"
    name = "login" if operation == "obtain" else operation
    return f"| {name} | {contender.store} | {own * 1000:.3f} ms | {1 / own:,.0f} | {database} |"


def talking(service):
    """KiB of a connection on which a request has begun."""
    may_open(TALKING)
    before = service.memory_kib()
    connections = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(TALKING)]
    for connection in connections:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"[:20])
    # What comes last is answered last.
    service.post("refresh", {})
    each = (service.memory_kib() - before) / TALKING
    for connection in connections:
        connection.close()
    return each


def main():
    with OnSqlite(CORES) as service:
        service.start()
        start, each = service.memory_kib() / 1024, talking(service)
    rows = []
    for kind in [OnSqlite, OnPostgres]:
        with kind(CORES) as contender:
            contender.start()
            rows += [row(contender, operation) for operation in WHO]
    rows = "\n".join(rows)
    table = f"""{START}
Processor time of one request, on {os.cpu_count()} cores of {processor()}, of {WHO['refresh'][0]} clients that
refresh without pause, or {WHO['obtain'][0]} that log in:

| request | store | the service | a second and core | the database | transactions |
|---|---|---|---|---|---|
{rows}

Memory: {start:.0f} MiB to start with, {each:.1f} KiB for each connection with a request in flight, and [less](../bench/results.md) for an
idle connection.
{END}"""
    print(table)
    page = PAGE.read_text()
    page = page[: page.index(START)] + table + page[page.index(END) + len(END) :]
    if not SHORT:
        PAGE.write_text(page)


if __name__ == "__main__":
    main()
