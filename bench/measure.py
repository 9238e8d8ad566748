"""Measures CPU time per request and memory per connection, and writes the table of docs/explanation/scaling.md."""

import socket
import time
from contextlib import ExitStack

from common import ALL_CORES, BENCH_DIR, CPUS, LONG_SECONDS, SHORT, WARMUP_SECONDS, cpu_model, run_wrk, table
from servers import Signet, SignetOnPostgres, cpu_seconds

PAGE = BENCH_DIR.parent / "docs/explanation/scaling.md"
START, END = "<!-- measured -->", "<!-- /measured -->"
# Names in the table, operations, clients and accounts.
REQUESTS = [("refresh", "refresh", 16, 64), ("login", "obtain", 8, 1)]
ACTIVE_CONNECTIONS = 4_000


def usage(server):
    """Returns CPU seconds of Signet and of PostgreSQL, and the number of transactions."""
    own = cpu_seconds(server.process.pid)
    if not isinstance(server, SignetOnPostgres):
        return own, 0, 0
    time.sleep(1)  # PostgreSQL updates its statistics once per second.
    transactions = server.postgres.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = 'signet'")
    return own, server.cpu_seconds() - own, int(transactions)


def measure_row(database, server, name, operation, clients, accounts):
    arguments = {"bodies": server.bodies(operation)[:accounts], "connections": clients, "cores": ALL_CORES}
    run_wrk(server, operation, seconds=WARMUP_SECONDS, **arguments)
    before = usage(server)
    requests = run_wrk(server, operation, seconds=LONG_SECONDS, **arguments)["requests"]
    cpu, database_cpu, transactions = ((end - start) / requests for start, end in zip(before, usage(server)))
    separate = [f"{database_cpu * 1000:.3f} ms", f"{transactions:.1f}"] if database_cpu else ["in the service", "-"]
    return [name, database, f"{cpu * 1000:.3f} ms", f"{1 / cpu:,.0f}", *separate]


def measure_memory():
    """Returns MiB after the start, and KiB per connection with an incomplete request."""
    with Signet(ALL_CORES) as server, ExitStack() as stack:
        server.start()
        before = server.memory_kib()
        for _ in range(ACTIVE_CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(b"GET /openapi.json HTT")
        # The server has read the incomplete requests before it responds to this one.
        server.post("refresh", {})
        return before / 1024, (server.memory_kib() - before) / ACTIVE_CONNECTIONS


def main():
    start_mib, connection_kib = measure_memory()
    rows = []
    for database, kind in {"SQLite": Signet, "PostgreSQL": SignetOnPostgres}.items():
        with kind(ALL_CORES) as server:
            server.start()
            rows += [measure_row(database, server, *request) for request in REQUESTS]
    header = ["request", "database", "CPU of the service", "requests per second and core", "CPU of the database", "transactions"]
    section = f"""{START}
CPU time per request on {len(CPUS)} cores of {cpu_model()}.
{REQUESTS[0][2]} clients send refreshes, and {REQUESTS[1][2]} clients send logins:

{table(header, rows)}

Memory: {start_mib:.0f} MiB after the start, and {connection_kib:.1f} KiB per connection with an active request. An idle connection uses
[less](../bench/results.md).
{END}"""
    print(section)
    page = PAGE.read_text()
    if not SHORT:
        PAGE.write_text(page[: page.index(START)] + section + page[page.index(END) + len(END) :])


if __name__ == "__main__":
    main()
