"""Measures logins of one user during a flood of logins from other addresses, and writes fairness.md.

The flood uses another account: the rate limit per account is not measured here. wrk sets the client addresses as a trusted proxy.
"""

import itertools
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from common import ALL_CORES, SHORT, run_wrk, table, target_table, write_page
from servers import EMAIL, PASSWORD, UNLIMITED, Signet

SECONDS = 3 if SHORT else 30
CONNECTIONS = 200
ADDRESSES = [1, 20]
# Passwords of the flood by the number of the request.
PASSWORDS = {
    "same wrong password": lambda number: "a wrong guess",
    "different wrong passwords": lambda number: f"guess {number}",
    "right password": lambda number: PASSWORD,
}
RATE_LIMITS = {"default": {}, "off": UNLIMITED}


def measure_user(server):
    """Returns the number of responses by status, and latencies in seconds. Each login uses a new connection, as in most clients."""
    statuses, latencies = Counter(), []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        started = time.monotonic()
        statuses[server.post("obtain", {"email": EMAIL.format(1), "password": PASSWORD})] += 1
        latencies.append(time.monotonic() - started)
        time.sleep(0.05)
    return statuses, latencies


def measure(settings, password, addresses):
    """Returns statuses and latencies of the user, and statuses of the flood."""
    bodies = [{"email": EMAIL.format(2), "password": PASSWORDS[password](number)} for number in range(10_000)]
    options = {"connections": CONNECTIONS, "cores": ALL_CORES, "strict": False, "addresses": addresses}
    with Signet(ALL_CORES, accounts=2, SIGNET_TRUSTED_PROXIES="127.0.0.1", **settings) as server, ThreadPoolExecutor() as pool:
        server.start()
        # The server learns the cost of a hash from its first login.
        assert server.post("obtain", {"email": EMAIL.format(1), "password": PASSWORD}) == 200
        flood = pool.submit(run_wrk, server, "obtain", bodies, seconds=SECONDS + 2, **options)
        time.sleep(1)  # Until the queue is full.
        statuses, latencies = measure_user(server)
        return statuses, latencies, flood.result()["statuses"]


def format_statuses(statuses):
    return ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))


def main():
    rows, p99s, failures = [], [], 0
    for (limits, settings), password, addresses in itertools.product(RATE_LIMITS.items(), PASSWORDS, ADDRESSES):
        statuses, latencies, flood_statuses = measure(settings, password, addresses)
        p50, p99 = statistics.median(latencies), sorted(latencies)[len(latencies) * 99 // 100]
        p99s.append(p99)
        failures += statuses.total() - statuses[200]
        cells = [format_statuses(statuses), f"{p50:.2f} s", f"{p99:.2f} s", format_statuses(flood_statuses)]
        rows.append([limits, password, addresses, *cells])
    targets = [
        ("largest p99 of the user's logins", max(p99s), "at most", 2, "s"),
        ("failed logins of the user", failures, "at most", 0, ""),
    ]
    header = ["rate limits", "passwords of the flood", "addresses of the flood", "user", "p50", "p99", "flood"]
    body = f"""{target_table(targets)}

{CONNECTIONS} connections send logins without pause for {SECONDS} seconds. A user at another address logs in repeatedly.
The columns "user" and "flood" contain numbers of responses by status. [`fairness.py`](fairness.py) measures them.

{table(header, rows)}"""
    write_page("fairness.md", "Logins during a flood", "bench-fairness", body)


if __name__ == "__main__":
    main()
