"""Measures everything side by side in one run, on the user's own machine, and writes the table and the chart.

A server has the first processor, and the generator of load the second; all contenders alike. Each is asked in turn, round after
round, so that what the machine does meanwhile falls on all of them; what is told are medians. Only ratios mean something.
"""

import datetime
import json
import os
import platform
import re
import socket
import statistics
import subprocess
from pathlib import Path

from contenders import ALL, BENCH, EMAIL, HERE, PASSWORD, PATH, SIGNET, Django, HyperEcho, OnPostgres, OnSqlite, PoemEcho

ROUNDS = 5
SECONDS = 3
CONNECTIONS = 64
IDLE = 10_000
SERVER, GENERATOR = "0", "1"


def load(contender, operation, body, connections=CONNECTIONS, seconds=SECONDS, cores=GENERATOR):
    """Asks without pause; what wrk tells of it, and the processor time for one request."""
    url = f"http://127.0.0.1:{contender.port}{PATH.format(operation)}"
    command = ["taskset", "-c", cores, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=60s", "-s", HERE / "post.lua", url]
    before = contender.seconds()
    told = subprocess.run(command, env=os.environ | {"BODY": json.dumps(body)}, text=True, capture_output=True, check=True)
    used = contender.seconds() - before
    figures = json.loads(told.stderr.splitlines()[-1])
    assert figures["failed"] == 0, (contender.name, told.stdout)
    return {
        "rate": figures["requests"] / figures["seconds"],
        "cost": used / figures["requests"] * 1e6,
        "p50": figures["p50"] / 1000,
        "p99": figures["p99"] / 1000,
    }


def medians(rounds):
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def refreshes():
    """Of each contender: requests a second, and microseconds of processor for each."""
    contenders = [kind(SERVER) for kind in ALL]
    rounds = {contender.name: [] for contender in contenders}
    try:
        for contender in contenders:
            load(contender, "refresh", {"token": contender.token}, seconds=1)
        for _ in range(ROUNDS):
            for contender in contenders:
                rounds[contender.name].append(load(contender, "refresh", {"token": contender.token}))
    finally:
        for contender in contenders:
            contender.close()
    return {name: medians(figures) for name, figures in rounds.items()}


def logins():
    """Logins a second against hashes a second, on all processors; and refreshes in such a storm, with the memory it takes."""
    cores = f"0-{os.cpu_count() - 1}"
    service = OnSqlite(cores)
    credentials = {"email": EMAIL, "password": PASSWORD}
    figures = {"start": service.started_in * 1000, "idle": service.memory_kib() / 1024}
    try:
        ratios = []
        for _ in range(ROUNDS):
            alone = subprocess.run([BENCH, "argon2", str(os.cpu_count()), str(SECONDS)], text=True, capture_output=True, check=True)
            ratios.append(load(service, "obtain", credentials, cores=cores)["rate"] / float(alone.stdout))
        url = f"http://127.0.0.1:{service.port}{PATH.format('obtain')}"
        storm = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS + 2}s", "--timeout=60s", "-s", HERE / "post.lua", url]
        with subprocess.Popen(storm, env=os.environ | {"BODY": json.dumps(credentials)}, stdout=-3, stderr=-3):
            meanwhile = load(service, "refresh", {"token": service.token}, connections=8, cores=cores)
        figures |= {"ratio": statistics.median(ratios), "p99": meanwhile["p99"], "peak": service.memory_kib("VmHWM") / 1024}
        figures["idle_connection"] = idle(service)
    finally:
        service.close()
    return figures


def idle(service):
    """KiB of a connection that has asked once, and asks nothing more."""
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (IDLE + 1000,) * 2)
    before = service.memory_kib()
    connections = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(IDLE)]
    for connection in connections:
        connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    for connection in connections:
        connection.recv(4096)
    each = (service.memory_kib() - before) / IDLE
    for connection in connections:
        connection.close()
    return each


def verdict(met):
    return "met" if met else "**missed**"


def table(refresh, login):
    ours, echo, django = refresh[OnSqlite.name], refresh[PoemEcho.name], refresh[Django.name]
    size = Path(SIGNET).stat().st_size / 2**20
    memory = login["idle"] + os.cpu_count() * 19 * 1.1
    rows = [
        ("refresh against the poem echo, requests a second", f"{ours['rate'] / echo['rate']:.2f}", "at least 0.65", ours["rate"] / echo["rate"] >= 0.65),
        ("the same, processor for a request", f"{ours['cost'] / echo['cost']:.2f}", "at most 1.8", ours["cost"] / echo["cost"] <= 1.8),
        ("refresh against Django, requests a second", f"{ours['rate'] / django['rate']:.0f}", "at least 45", ours["rate"] / django["rate"] >= 45),
        ("the same, processor for a request", f"1/{django['cost'] / ours['cost']:.0f}", "at most 1/80", django["cost"] / ours["cost"] >= 80),
        ("logins against Argon2 alone, on all processors", f"{login['ratio']:.2f}", "at least 0.95", login["ratio"] >= 0.95),
        ("refresh, 99th percentile, while 64 clients log in without pause", f"{login['p99']:.1f} ms", "at most 10 ms", login["p99"] <= 10),
        ("memory, idle", f"{login['idle']:.0f} MiB", "at most 20 MiB", login["idle"] <= 20),
        ("memory, in that storm", f"{login['peak']:.0f} MiB", f"at most {memory:.0f} MiB", login["peak"] <= memory),
        (f"{IDLE:,} idle connections, each", f"{login['idle_connection']:.1f} KiB", "at most 8 KiB", login["idle_connection"] <= 8),
        ("start to the first answer", f"{login['start']:.0f} ms", "at most 100 ms", login["start"] <= 100),
        ("binary, stripped", f"{size:.1f} MiB", "at most 25 MiB", size <= 25),
    ]
    lines = "\n".join(f"| {what} | {figure} | {target} | {verdict(met)} |" for what, figure, target, met in rows)
    contenders = "\n".join(
        f"| {kind.name} | {figures['rate']:,.0f} | {figures['cost']:.0f} us | {figures['p50']:.2f} ms | {figures['p99']:.2f} ms | {kind.description} |"
        for kind in ALL
        for figures in [refresh[kind.name]]
    )
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"""# What `make bench` measured

On {datetime.date.today()}, on {os.cpu_count()} processors of {model[1] if model else platform.machine()}, Linux {platform.release()}. All of it in one run, side by side:
only ratios mean something elsewhere. [How it is measured](main.py).

| what | measured | target | |
|---|---|---|---|
{lines}

Refreshes on one processor, {CONNECTIONS} connections, medians of {ROUNDS} rounds in turn:

| | requests a second | processor for each | median | 99th percentile | |
|---|---|---|---|---|---|
{contenders}
"""


def main():
    refresh, login = refreshes(), logins()
    page = table(refresh, login)
    print(page)
    (HERE / "results.md").write_text(page)
    rows = [f"{kind.name}\t{refresh[kind.name]['rate']:.0f}" for kind in [OnSqlite, OnPostgres, PoemEcho, HyperEcho, Django]]
    bars = "\n".join(["Refreshes a second, on one processor", *rows])
    subprocess.run([BENCH, "chart", HERE / "results.svg"], input=bars, text=True, check=True)


if __name__ == "__main__":
    main()
