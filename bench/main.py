"""Measures everything side by side in one run, on the user's own machine, and writes the table and the chart.

A server has the first processor, and the generator of load the second; all contenders alike. Each is started anew and asked in turn,
round after round, so that what the machine does meanwhile falls on all of them; what is told are medians. Only ratios mean something.
"""

import datetime
import json
import os
import platform
import re
import resource
import socket
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import users
from contenders import ALL, BENCH, HERE, SIGNET, Django, HyperEcho, OnPostgres, OnSqlite, PoemEcho, Quiet, copy
from load import CONNECTIONS, GENERATOR, ROUNDS, SECONDS, SERVER, anew, at_rate, in_turn, wrk

IDLE = 10_000
CORES = f"0-{os.cpu_count() - 1}"
# Of what can be answered at most.
SHARES = [0.2, 0.5, 0.8]
# For so many seconds: of three, the slowest hundredth would be that of one moment in which the machine did something else.
SHARE_SECONDS = 10
# So many ask at once.
CLIENTS = [1, 8, 64, 512]
# Refreshes a second, over 64 connections, while others log in.
IN_A_STORM = 1_000
# Signet gives the memory of its hashes back when there was none for ten seconds.
REST = 12
# What one hash takes at the default cost.
HASH = 19


def refreshes():
    """What a refresh costs each contender; what a bad one costs Signet, and how long one takes at rates that it can keep up with."""
    with ExitStack() as stack:
        contenders = {kind.name: stack.enter_context(kind(SERVER)) for kind in ALL}
        ours, limit = contenders[OnSqlite.name], contenders[HyperEcho.name]
        bodies = ours.bodies("refresh")
        measures = {name: lambda it=it: anew(wrk, it, "refresh", bodies) for name, it in contenders.items()}
        for count in CLIENTS:
            measures[f"{count} clients"] = lambda count=count: anew(wrk, ours, "refresh", bodies, connections=count)
        measures["bad"] = lambda: anew(wrk, ours, "refresh", [{"token": None}], expected=400)
        told = in_turn(measures)
        kept_up = lambda it, share: anew(at_rate, it, "refresh", bodies[0], told[OnSqlite.name]["rate"] * share, SHARE_SECONDS)
        measures = {share: lambda share=share: kept_up(ours, share) for share in SHARES}
        measures["limit"] = lambda: kept_up(limit, SHARES[-1])
        return told | in_turn(measures)


def pauses():
    """How often the two processors stop who is at work on both and does nothing else, and for how many milliseconds, in so many seconds."""
    command = lambda processor: ["taskset", "-c", processor, BENCH, "pauses", str(SHARE_SECONDS)]
    probes = [subprocess.Popen(command(processor), text=True, stdout=subprocess.PIPE) for processor in [SERVER, GENERATOR]]
    each = [float(line) for probe in probes for line in probe.communicate()[0].splitlines()]
    assert all(probe.returncode == 0 for probe in probes)
    return {"count": len(each), "all": sum(each), "longest": max(each, default=0)}


def hashes(processors):
    cores = f"0-{processors - 1}"
    with TemporaryDirectory() as folder:
        command = ["taskset", "-c", cores, copy(BENCH, folder), "argon2", str(processors), str(SECONDS)]
        told = subprocess.run(command, text=True, capture_output=True, check=True)
    return {"rate": float(told.stdout)}


def storm():
    """So many log in without pause, at a service of their own.

    They are of one account: those that wrk gives up at its end count as guesses, and as one if they are the same.
    """
    with OnSqlite(CORES) as service:
        return wrk(service, "obtain", service.bodies("obtain")[:1], cores=CORES)


def logins():
    """Logins a second against hashes a second, on all processors; and refreshes in such a storm, with the memory it takes."""
    measures = {"one": lambda: hashes(1), "all": lambda: hashes(os.cpu_count()), "logins": storm}
    figures = {name: told["rate"] for name, told in in_turn(measures).items()}
    with OnSqlite(CORES) as service:
        figures["start"] = service.started_in * 1000
        time.sleep(REST)
        figures["idle"] = service.memory_kib() / 1024
        figures["p99"] = statistics.median(in_a_storm(service) for _ in range(ROUNDS))
        figures["peak"] = service.memory_kib("VmHWM") / 1024
        figures["idle_connection"] = idle(service)
    return figures


def in_a_storm(service):
    """The 99th percentile of refreshes while as many as ever log in without pause."""
    with ThreadPoolExecutor() as pool:
        storm = pool.submit(wrk, service, "obtain", service.bodies("obtain")[:1], seconds=SECONDS + 2, cores=CORES)
        time.sleep(1)
        told = at_rate(service, "refresh", service.bodies("refresh")[0], IN_A_STORM, cores=CORES)
        storm.result()
    return told["p99"]


def idle(service):
    """KiB of a connection that has asked once, and asks nothing more."""
    wanted = IDLE + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    time.sleep(REST)
    before = service.memory_kib()
    connections = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(IDLE)]
    for connection in connections:
        connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    for connection in connections:
        assert connection.recv(4096).startswith(b"HTTP/1.1 404")
    time.sleep(REST / 4)
    # What is free goes back with requests.
    wrk(service, "refresh", service.bodies("refresh"))
    each = (service.memory_kib() - before) / IDLE
    for connection in connections:
        connection.close()
    return each


def verdict(met):
    return "met" if met else "**missed**"


def targets(refresh, login, growth):
    """What is wanted, in the order of its importance: what, the figure, the target, and whether it is met."""
    ours, echo, django = refresh[OnSqlite.name], refresh[PoemEcho.name], refresh[Django.name]
    size = Path(SIGNET).stat().st_size / 2**20
    storm = login["idle"] + os.cpu_count() * HASH * 1.1
    spread = max(refresh[share]["p99"] / refresh[share]["p50"] for share in SHARES)
    counts = json.loads((HERE / "instructions.json").read_text())
    grown = {operation: growth[operation, users.MANY] / growth[operation, 1] for operation in ["refresh", "obtain"]}

    def least(what, figure, target, form="{:.2f}"):
        return what, form.format(figure), f"at least {target}", figure >= target

    def most(what, figure, target, form="{:.2f}"):
        return what, form.format(figure), f"at most {form.format(target)}", figure <= target

    def inverse(what, figure, target):
        return what, f"1/{figure:.0f}", f"at most 1/{target}", figure >= target

    return [
        least("refresh against the poem echo, requests a second", ours["rate"] / echo["rate"], 0.65),
        most("the same, processor for a request", ours["cost"] / echo["cost"], 1.8),
        least("refresh against Django, requests a second", ours["rate"] / django["rate"], 45, "{:.0f}"),
        inverse("the same, processor for a request", django["cost"] / ours["cost"], 80),
        most(f"refresh, 99th percentile against the median, at {', '.join(f'{share:.0%}' for share in SHARES)} of capacity", spread, 4, "{:.1f}"),
        least("logins against Argon2 alone, on all processors", login["logins"] / login["all"], 0.95),
        most("refresh, 99th percentile, while 64 clients log in without pause", login["p99"], 10, "{:.1f} ms"),
        most("memory, idle", login["idle"], 20, "{:.0f} MiB"),
        most("memory, in that storm", login["peak"], storm, "{:.0f} MiB"),
        most(f"{IDLE:,} idle connections, each", login["idle_connection"], 8, "{:.1f} KiB"),
        most("start to the first answer", login["start"], 100, "{:.0f} ms"),
        most("validation of a bad body against a good one, [instructions](instructions.json)", counts["validation_bad"] / counts["validation_good"], 1.3),
        most(f"refresh with {users.MANY:,} accounts against one, processor", grown["refresh"], 1.3),
        most("login without its hash, the same", grown["obtain"], 1.3),
        most("binary, stripped", size, 25, "{:.1f} MiB"),
    ]


def cells(figures):
    return f"{figures['rate']:,.0f} | {figures['cost']:.1f} us | {figures['p50']:.2f} ms | {figures['p99']:.2f} ms"


def table(refresh, login, growth, machine):
    rows = targets(refresh, login, growth)
    lines = "\n".join(f"| {what} | {figure} | {target} | {verdict(met)} |" for what, figure, target, met in rows)
    contenders = "\n".join(
        f"| {kind.name} | {cells(figures)} | {kind.description} |"
        for kind in ALL
        for figures in [refresh[kind.name]]
    )
    bad = refresh["bad"]
    rates = "\n".join(
        f"| {what} | {figures['rate']:,.0f} | {figures['p50']:.2f} ms | {figures['p99']:.2f} ms | {best:.2f} to {worst:.2f} ms |"
        for what, key in [*((f"{share:.0%}", share) for share in SHARES), (f"{SHARES[-1]:.0%}, asked of the {HyperEcho.name}", "limit")]
        for figures in [refresh[key]]
        for best, worst in [figures["p99 of rounds"]]
    )
    clients = "\n".join(
        f"| {count} | {cells(figures)} |"
        for count in CLIENTS
        for figures in [refresh[f"{count} clients"]]
    )
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"""# What `make bench` measured

On {datetime.date.today()}, on {os.cpu_count()} processors of {model[1] if model else platform.machine()}, Linux {platform.release()}. All of it in one run, side by side:
only ratios mean something elsewhere. [How it is measured](main.py), and [what it means](../docs/performance.md).

| what | measured | target | |
|---|---|---|---|
{lines}

Refreshes on one processor, {CONNECTIONS} connections, medians of {ROUNDS} rounds in turn:

| | requests a second | processor for each | median | 99th percentile | |
|---|---|---|---|---|---|
{contenders}
| Signet, refused | {cells(bad)} | a body that has no token, on SQLite |

All but the last are asked for 64 accounts in turn. Signet on SQLite at rates that it can keep up with, for {SHARE_SECONDS} seconds a round, latencies
counted from when it was time to ask:

| of capacity | requests a second | median | 99th percentile | of each round |
|---|---|---|---|---|
{rates}

When nothing was done but to look at the clock, on both processors, the machine stopped one of them for a millisecond or more {machine['count']:.0f} times in
{SHARE_SECONDS} seconds: for {machine['all']:.1f} ms in all, and at the longest for {machine['longest']:.1f} ms.

With more or fewer clients, each of which asks without pause:

| clients | requests a second | processor for each | median | 99th percentile |
|---|---|---|---|---|
{clients}

With more accounts, asked for from all over, on SQLite:

{users.table(growth)}

Hashes a second of Argon2 alone: {login['one']:.1f} on one processor, {login['all']:.1f} on {os.cpu_count()}. Logins a second: {login['logins']:.1f}.
The refreshes in that storm are {IN_A_STORM:,} a second, over {CONNECTIONS} connections.
"""


def main():
    machine = in_turn({"pauses": pauses})["pauses"]
    refresh, login, growth = refreshes(), logins(), users.growth()
    page = table(refresh, login, growth, machine)
    print(page)
    (HERE / "results.md").write_text(page)
    rows = [f"{kind.name}\t{refresh[kind.name]['rate']:.0f}" for kind in [OnSqlite, Quiet, OnPostgres, PoemEcho, HyperEcho, Django]]
    bars = "\n".join(["Refreshes a second, on one processor", *rows])
    subprocess.run([BENCH, "chart", HERE / "results.svg"], input=bars, text=True, check=True)


if __name__ == "__main__":
    main()
