"""Compares Signet with echo servers, bare Argon2 and Django, and writes results.md and results.svg."""

import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import scale
from common import ALL_CORES, CONNECTIONS, CPUS, LONG_SECONDS, OUTPUT_DIR, ROUNDS, SERVER_CORE, SHORT
from common import medians, pinned, run_wrk, run_wrk_on_new_process, table, target_table, write_page
from instructions import committed, count
from servers import BENCH, SIGNET, Django, Echo, Gateway, Signet, SignetOnPostgres, SignetWithKey, argon2_cost, copy_binary

SQLITE, QUIET, ES256, POEM = "Signet on SQLite", "Signet, SIGNET_LOG=warn", "Signet with ES256", "poem echo"
# Classes, environments and notes.
SERVERS = {
    SQLITE: (Signet, {}, "default settings, log in a file"),
    QUIET: (Signet, {"SIGNET_LOG": "warn"}, "without the log line per request"),
    "Signet on PostgreSQL": (SignetOnPostgres, {}, "includes the CPU time of PostgreSQL, which shares the core"),
    ES256: (SignetWithKey, {}, "verifies and signs with a key instead of a secret"),
    POEM: (Echo, {"FRAMEWORK": "poem"}, "parses the same body, and returns a response of the same size: the limit of the framework"),
    "hyper echo": (Echo, {"FRAMEWORK": "hyper"}, "the same without a framework: the limit of the runtime"),
    "Django": (Django, {}, "Django 3.2 and djangorestframework-jwt 1.11 on SQLite, two gunicorn workers without keep-alive"),
}
GATEWAY = "Signet, /verify for gateways"
JWKS, CLAIMS = "Signet, the key set", "Signet, the schema of the claims"
CLIENTS = [1, CONNECTIONS, 512]
STORM_REFRESH_RATE = 1_000
ACCOUNTS = 4_000 if SHORT else 100_000
IDLE_CONNECTIONS = 100 if SHORT else 10_000
# Signet returns the memory of hashes after ten seconds without a login.
IDLE_SECONDS = 1 if SHORT else 12


def measure_refreshes():
    """Returns results of wrk by server name, and for Signet on SQLite also by number of clients."""
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(SERVER_CORE))
        servers = {name: stack.enter_context(kind(SERVER_CORE, **environment)) for name, (kind, environment, _) in SERVERS.items()}
        bodies = {name: server.bodies("refresh") for name, server in servers.items()}
        measurements = {name: partial(run_wrk_on_new_process, server, "refresh", bodies[name]) for name, server in servers.items()}
        tokens = gateway.bodies("refresh")
        measurements[GATEWAY] = partial(run_wrk_on_new_process, gateway, "verify", tokens, bearer=True)
        for name, document in [(JWKS, "jwks"), (CLAIMS, "claims")]:
            measurements[name] = partial(run_wrk_on_new_process, servers[ES256], document, [{}], document=True)
        for clients in CLIENTS:
            measurements[clients] = partial(run_wrk_on_new_process, servers[SQLITE], "refresh", bodies[SQLITE], connections=clients)
        return medians(measurements)


def measure_argon2():
    """Returns the rate (hashes per second) of bare Argon2 with Signet's default cost on all cores."""
    with TemporaryDirectory() as directory:
        cost = argon2_cost({"SIGNET_CONFIG": "/dev/null"})
        command = pinned(ALL_CORES, copy_binary(BENCH, directory), "argon2", len(CPUS), LONG_SECONDS, *cost)
        return {"rate": float(subprocess.run(command, text=True, capture_output=True, check=True).stdout)}


def measure_logins():
    """Returns results by name."""
    # On a slow machine, the queue for hashes would otherwise reject some logins. wrk abandons its last logins, which count as failures.
    limits = {"SIGNET_HASHING_WAIT": "60s", "SIGNET_THROTTLE_ACCOUNT": "10000/1m", "SIGNET_THROTTLE_ADDRESS": "10000/1m"}
    with Signet(ALL_CORES, **limits) as server:
        options = {"seconds": LONG_SECONDS, "cores": ALL_CORES}
        logins = partial(run_wrk_on_new_process, server, "obtain", login_bodies(server), **options)
        return medians({"argon2": measure_argon2, "logins": logins, "process": measure_process})


def login_bodies(server):
    """Returns the body for one account: wrk abandons logins at its end, and the server counts equal wrong guesses only once."""
    return server.bodies("obtain")[:1]


def measure_process():
    """Returns the start time (ms), the idle memory (MiB), the memory per idle connection (KiB), and the result of wrk for refreshes
    during a login storm."""
    with Signet(ALL_CORES) as server:
        start_ms = server.start() * 1000
        time.sleep(IDLE_SECONDS)
        idle_mib = server.memory_kib() / 1024
        connection_kib = memory_per_connection_kib(server)
        with ThreadPoolExecutor() as pool:
            # On a slow machine, the queue for hashes rejects some logins.
            options = {"seconds": LONG_SECONDS + 3, "cores": ALL_CORES, "strict": False}
            storm = pool.submit(run_wrk, server, "obtain", login_bodies(server), **options)
            time.sleep(1)
            options = {"seconds": LONG_SECONDS, "cores": ALL_CORES, "delay_ms": CONNECTIONS * 1000 // STORM_REFRESH_RATE}
            refreshes = run_wrk(server, "refresh", server.bodies("refresh"), **options)
            storm.result()
    return refreshes | {"start_ms": start_ms, "idle_mib": idle_mib, "connection_kib": connection_kib}


def memory_per_connection_kib(server):
    """Returns the memory per idle connection after one request on each."""
    before = settled_memory_kib(server)
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(IDLE_CONNECTIONS)]
        request_on_each(connections)
        after = settled_memory_kib(server)
        # Fails if the server has closed a connection.
        request_on_each(connections)
    return (after - before) / IDLE_CONNECTIONS


def request_on_each(connections):
    for connection in connections:
        connection.sendall(b"GET /unknown HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for connection in connections:
        assert connection.recv(4096).startswith(b"HTTP/1.1 404")


def settled_memory_kib(server):
    """Returns the memory after a pause and some requests, since the allocator returns free memory during requests."""
    time.sleep(IDLE_SECONDS)
    run_wrk(server, "refresh", server.bodies("refresh"), seconds=1)
    return server.memory_kib()


def targets(refreshes, logins, growth, counts):
    ours, echo, quiet, process = refreshes[SQLITE], refreshes[POEM], refreshes[QUIET], logins["process"]
    return [
        ("refresh against the poem echo, requests per second", ours["rate"] / echo["rate"], "at least", 0.45, ""),
        ("CPU per refresh against the poem echo", ours["cost"] / echo["cost"], "at most", 2.6, ""),
        ("refreshes with SIGNET_LOG=info into a file against warn", ours["rate"] / quiet["rate"], "at least", 0.75, ""),
        ("verifications for a gateway against refreshes, requests per second", refreshes[GATEWAY]["rate"] / ours["rate"], "at least", 0.8, ""),
        ("CPU per request of the key set against the schema of the claims", refreshes[JWKS]["cost"] / refreshes[CLAIMS]["cost"], "at most", 1.1, ""),
        ("p99 of refreshes in a login storm", process["p99"], "at most", 10, "ms"),
        ("logins against bare Argon2", logins["logins"]["rate"] / logins["argon2"]["rate"], "at least", 0.95, ""),
        ("start", process["start_ms"], "at most", 50, "ms"),
        ("idle memory", process["idle_mib"], "at most", 24, "MiB"),
        ("memory per idle connection", process["connection_kib"], "at most", 20, "KiB"),
        scale.target(growth),
        ("binary", Path(SIGNET).stat().st_size / 1024**2, "at most", 25, "MiB"),
        ("instructions against the committed count", counts["refreshes"] / committed()["counts"]["refreshes"], "at most", 1.05, ""),
    ]


def refresh_table(header, results):
    """Returns a table of results by the first column."""
    rows = [
        [name, f"{each['rate']:,.0f}", f"{each['load']:.0%}", f"{each['cost']:.1f} us", f"{each['p50']:.2f} ms", f"{each['p99']:.2f} ms"]
        for name, each in results.items()
    ]
    return table([header, "requests per second", "CPU load", "CPU per request", "p50", "p99"], rows)


def chart(rates):
    """Returns a bar chart as SVG."""
    bars = ""
    for row, (name, rate) in enumerate(rates.items()):
        y, width = 66 + 34 * row, round(480 * rate / max(rates.values()))
        color = "#1f7a8c" if name.startswith("Signet") else "#9aa8ba"
        bars += f'<text x="16" y="{y}">{name}</text><text x="{width + 278}" y="{y}">{rate:,.0f}</text>\n'
        bars += f'<rect x="270" y="{y - 18}" width="{width}" height="24" fill="{color}"/>\n'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{66 + 34 * len(rates)}"
    font-family="sans-serif" font-size="16" fill="#222b38">
<rect width="100%" height="100%" fill="white"/>
<text x="16" y="30" font-size="19">Refreshes per second on one core</text>
{bars}</svg>
"""


def main():
    # The first step, since it fails early without valgrind.
    counts = count()
    logins, refreshes, growth = measure_logins(), measure_refreshes(), scale.measure(ACCOUNTS)
    notes = "\n".join(f"- {name}: {note}" for name, (_, _, note) in SERVERS.items())
    body = f"""{target_table(targets(refreshes, logins, growth, counts))}

Figures are medians of {ROUNDS} rounds. [`main.py`](main.py) measures them, and [performance.md](../docs/explanation/performance.md) explains them.

## Refreshes

The server has one core, and wrk another. {CONNECTIONS} connections send refreshes of 64 accounts without pause:

{refresh_table("server", {name: refreshes[name] for name in SERVERS})}

{notes}

Signet on SQLite by number of clients:

{refresh_table("clients", {clients: refreshes[clients] for clients in CLIENTS})}

The same tokens in the header of `GET /verify`, which verifies tokens for gateways:

{refresh_table("server", {GATEWAY: refreshes[GATEWAY]})}

Requests of documents with ES256:

{refresh_table("server", {name: refreshes[name] for name in [JWKS, CLAIMS]})}

## Logins

The server and wrk share {len(CPUS)} cores. {CONNECTIONS} connections send logins without pause.

- Logins: {logins['logins']['rate']:.1f} per second
- Hashes of bare Argon2: {logins['argon2']['rate']:.1f} per second
- Refreshes in a login storm: {logins['process']['rate']:,.0f} per second, p99 {logins['process']['p99']:.2f} ms

## Growth with accounts

{scale.cost_table(growth)}

## Instructions

{", ".join(f"{name}: {number:,}" for name, number in counts.items())}. The count of refreshes is for 100 refreshes."""
    write_page("results.md", "Benchmark results", "bench", body)
    (OUTPUT_DIR / "results.svg").write_text(chart({name: refreshes[name]["rate"] for name in SERVERS}))


if __name__ == "__main__":
    main()
