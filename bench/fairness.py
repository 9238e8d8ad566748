"""Measures an owner's logins while other addresses flood the service with logins, and writes fairness.md.

The clients of the flood send without pause, on 200 connections from one address or from 20. They name an account of their own: the limit
for an account is not measured here. The addresses are loopback addresses, so each is a client address of its own without a proxy.
"""

import asyncio
import json
import multiprocessing
import time
from collections import Counter

import targets
from contenders import EMAIL, PASSWORD, PATH, OnSqlite
from effort import SHORT
from load import CORES, heading, keep

SECONDS = 3 if SHORT else 30
CONNECTIONS = 200
ADDRESSES = [1, 20]
FLOODER = "user2@example.com"
# The passwords of the flood, by the number of the request.
GUESSES = {
    "repeated": lambda number: "a wrong guess",
    "distinct": lambda number: f"guess {number}",
    "right": lambda number: PASSWORD,
}
# Rates of no practical effect: the queue alone decides.
UNLIMITED = {"SIGNET_THROTTLE_ADDRESS": "100000/15m", "SIGNET_THROTTLE_ACCOUNT": "100000/15m"}
LIMITS = {"as it ships": {}, "without rate limits": UNLIMITED}
# Time between the owner's logins, in seconds.
PAUSE = 0.05


class Signet(OnSqlite):
    def __init__(self, settings):
        self.settings = settings
        super().__init__(CORES, accounts=2)

    def prepare(self):
        self.environment |= self.settings
        super().prepare()


async def login(reader, writer, email, password):
    """Sends one login on a connection, and returns the status of the response."""
    body = json.dumps({"email": email, "password": password})
    request = f"POST {PATH.format('obtain')} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((request + body).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
    return int(head.split(" ")[1])


async def client(port, address, guess, numbers, statuses):
    """Sends logins of the flood without pause. Connects again if the service closes the connection."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        try:
            while True:
                statuses[await login(reader, writer, FLOODER, guess(next(numbers)))] += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            statuses["closed"] += 1
        finally:
            writer.close()


async def flood(port, addresses, guess, started, stop):
    statuses, numbers = Counter(), iter(range(10**9))
    from_addresses = [f"127.0.1.{1 + number % addresses}" for number in range(CONNECTIONS)]
    clients = [asyncio.create_task(client(port, address, guess, numbers, statuses)) for address in from_addresses]
    started.set()
    await asyncio.to_thread(stop.wait)
    for one in clients:
        one.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return statuses


def run_flood(port, addresses, name, started, stop, results):
    results.put(asyncio.run(flood(port, addresses, GUESSES[name], started, stop)))


async def owner(port):
    """Logs in again and again; returns the statuses, and how many seconds each login took."""
    statuses, took = Counter(), []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        # As most clients do: a connection for each login.
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        statuses[await login(reader, writer, EMAIL, PASSWORD)] += 1
        took.append(time.monotonic() - began)
        writer.close()
        await asyncio.sleep(PAUSE)
    return statuses, sorted(took)


def measure(settings, addresses, guess):
    """The owner's statuses and times, and the flood's statuses."""
    with Signet(settings) as service:
        service.start()
        # The first login measures what a hash costs.
        assert service.post("obtain", {"email": EMAIL, "password": PASSWORD}) == 200
        started, stop, results = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Queue()
        arguments = (service.port, addresses, guess, started, stop, results)
        process = multiprocessing.Process(target=run_flood, args=arguments)
        process.start()
        try:
            started.wait()
            time.sleep(1)  # The queue is full by then.
            statuses, took = asyncio.run(owner(service.port))
        finally:
            stop.set()
        others = results.get()
        process.join()
    return {
        "statuses": statuses,
        "p50": took[len(took) // 2],
        "p99": took[min(len(took) * 99 // 100, len(took) - 1)],
        "others": others,
    }


def listed(statuses):
    return ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items(), key=str))


def page(figures):
    worst = max(case["p99"] for case in figures.values())
    failed = sum(count for case in figures.values() for status, count in case["statuses"].items() if status != 200)
    rows = [
        f"| {limits} | {guess} | {addresses} | {listed(case['statuses'])} | {case['p50']:.2f} s | {case['p99']:.2f} s | {listed(case['others'])} |"
        for (limits, guess, addresses), case in figures.items()
    ]
    wanted = [
        targets.most("slowest p99 of the owner's logins, seconds", worst, 2),
        ("logins of the owner that fail", f"{failed}", "at most 0", failed),
    ]
    return f"""# Logins of an owner during a flood

`make bench-fairness` writes this page. {heading()} [How it is measured](fairness.py).

{targets.table(wanted)}

{CONNECTIONS} connections flood the service for {SECONDS} seconds, while an owner at another address logs in again and again:

| limits | guesses | addresses | the owner | p50 | p99 | the flood |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def main():
    figures = {
        (limits, guess, addresses): measure(settings, addresses, guess)
        for limits, settings in LIMITS.items()
        for guess in GUESSES
        for addresses in ADDRESSES
    }
    keep("fairness.md", page(figures))


if __name__ == "__main__":
    main()
