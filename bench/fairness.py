"""Measures logins of one user during a flood of logins from other addresses, and writes fairness.md.

The flood uses another account: the rate limit per account is not measured here. Loopback addresses make the client addresses differ.
"""

import asyncio
import itertools
import json
import multiprocessing
import statistics
import time
from collections import Counter

from common import ALL_CORES, SHORT, at_most, target_table, write_page
from servers import EMAIL, PASSWORD, Signet

SECONDS = 3 if SHORT else 30
CONNECTIONS = 200
ADDRESSES = [1, 20]
FLOOD_EMAIL = "user2@example.com"
# Passwords of the flood by the number of the request.
PASSWORDS = {
    "same wrong password": lambda number: "a wrong guess",
    "different wrong passwords": lambda number: f"guess {number}",
    "right password": lambda number: PASSWORD,
}
# Rate limits that no client reaches: the queue is the only limit.
UNLIMITED = {"SIGNET_THROTTLE_ADDRESS": "100000/15m", "SIGNET_THROTTLE_ACCOUNT": "100000/15m"}
RATE_LIMITS = {"default": {}, "off": UNLIMITED}
SECONDS_BETWEEN_LOGINS = 0.05


async def login(reader, writer, email, password):
    """Sends a login, and returns the status of the response."""
    body = json.dumps({"email": email, "password": password})
    head = "POST /v1/auth/jwt/obtain/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    response = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(response.split("content-length: ")[1].split("\r\n")[0]))
    return int(response.split(" ")[1])


async def flood_client(port, address, passwords, statuses):
    """Sends logins without pause. Reconnects if the server closes the connection."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        try:
            while True:
                statuses[await login(reader, writer, FLOOD_EMAIL, next(passwords))] += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            statuses["closed"] += 1
        finally:
            writer.close()


async def flood(port, addresses, password, stop):
    """Returns the number of responses by status."""
    statuses, passwords = Counter(), map(PASSWORDS[password], itertools.count())
    clients = [flood_client(port, f"127.0.1.{1 + number % addresses}", passwords, statuses) for number in range(CONNECTIONS)]
    tasks = [asyncio.create_task(client) for client in clients]
    await asyncio.to_thread(stop.wait)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return statuses


def run_flood(results, *arguments):
    results.put(asyncio.run(flood(*arguments)))


async def user(port):
    """Logs in repeatedly. Returns the number of responses by status, and latencies in seconds."""
    statuses, latencies = Counter(), []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        # One connection per login, as in most clients.
        started = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        statuses[await login(reader, writer, EMAIL, PASSWORD)] += 1
        latencies.append(time.monotonic() - started)
        writer.close()
        await asyncio.sleep(SECONDS_BETWEEN_LOGINS)
    return statuses, latencies


def measure(settings, password, addresses):
    """Returns statuses and latencies of the user, and statuses of the flood."""
    with Signet(ALL_CORES, accounts=2, **settings) as server:
        server.start()
        # The server learns the cost of a hash from its first login.
        assert server.post("obtain", {"email": EMAIL, "password": PASSWORD}) == 200
        results, stop = multiprocessing.Queue(), multiprocessing.Event()
        process = multiprocessing.Process(target=run_flood, args=(results, server.port, addresses, password, stop))
        process.start()
        try:
            time.sleep(2)  # Until the queue is full.
            statuses, latencies = asyncio.run(user(server.port))
        finally:
            stop.set()
        flood_statuses = results.get(timeout=60)
        process.join()
    return statuses, latencies, flood_statuses


def main():
    rows, p99s, failures = [], [], 0
    for (limits, settings), password, addresses in itertools.product(RATE_LIMITS.items(), PASSWORDS, ADDRESSES):
        statuses, latencies, flood_statuses = measure(settings, password, addresses)
        p99s.append(sorted(latencies)[len(latencies) * 99 // 100])
        failures += statuses.total() - statuses[200]
        counts = [", ".join(f"{count:,} × {status}" for status, count in sorted(each.items(), key=str)) for each in [statuses, flood_statuses]]
        columns = [limits, password, str(addresses), counts[0], f"{statistics.median(latencies):.2f} s", f"{p99s[-1]:.2f} s", counts[1]]
        rows.append(f"| {' | '.join(columns)} |")
    targets = target_table([at_most("largest p99 of the user's logins", max(p99s), 2, "s"), at_most("failed logins of the user", failures, 0)])
    body = f"""{targets}

{CONNECTIONS} connections send logins without pause for {SECONDS} seconds. A user at another address logs in repeatedly. [`fairness.py`](fairness.py) measures this.

| rate limits | passwords of the flood | addresses of the flood | responses to the user | p50 | p99 | responses to the flood |
|---|---|---|---|---|---|---|
""" + "\n".join(rows)
    write_page("fairness.md", "Logins during a flood", "bench-fairness", body)


if __name__ == "__main__":
    main()
