"""Measures everything side by side in one run, on the user's own machine, and writes the table and the chart.

For refreshes, a server has one processor, and the generator of load another; for logins, and for what is asked while others log in,
the server has all of them, and the generators share them. Contenders are alike in that. Each is started anew and asked in turn, round
after round, so that what the machine does meanwhile falls on all of them; what is told are medians. Only ratios mean something.
"""

import datetime
import json
import os
import platform
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import instructions
import users
from contenders import ALL, BENCH, HERE, SIGNET, Django, Echo, HyperEcho, OnPostgres, OnSqlite, PoemEcho, Quiet, copy
from load import CONNECTIONS, CORES, GENERATOR, OURS, ROUNDS, SERVER, anew, at_rate, in_turn, may_open, processor, wrk

IDLE = 10_000
# Of what can be answered at most.
SHARES = [0.01, 0.2, 0.5, 0.8]
# For so many seconds, where it is the slowest hundredth that matters, which of three seconds would be that of one moment in which the
# machine did something else; and where what is unfinished at the end is a part of the whole.
LONG = 10
# So many ask at once.
CLIENTS = [1, 8, CONNECTIONS, 256, 512]
# Refreshes a second, over as many connections as ever, while others log in.
IN_A_STORM = 1_000
# Signet gives the memory of its hashes back when there was none for ten seconds.
REST = 12


def refreshes():
    """What a refresh costs each contender; what a bad one costs Signet, and how long one takes at rates that it can keep up with."""
    with ExitStack() as stack:
        contenders = {kind.name: stack.enter_context(kind(SERVER)) for kind in ALL}
        ours, limit, everywhere = contenders[OnSqlite.name], stack.enter_context(HyperEcho(SERVER)), stack.enter_context(OnSqlite(CORES))
        bodies = ours.bodies("refresh")
        measures = {name: lambda it=it: anew(wrk, it, "refresh", bodies) for name, it in contenders.items()}
        for count in CLIENTS:
            if count != CONNECTIONS:
                measures[count] = lambda count=count: anew(wrk, ours, "refresh", bodies, connections=count)
        measures["everywhere"] = lambda: anew(wrk, everywhere, "refresh", bodies, cores=CORES)
        measures["bad"] = lambda: anew(wrk, ours, "refresh", [{"token": None}], expected=400)
        told = in_turn(measures)
        told[CONNECTIONS] = told[OnSqlite.name]
        assert all(told[kind.name]["size"] == told[OnSqlite.name]["size"] for kind in ALL if issubclass(kind, Echo))
        # As much work as a refresh, and nothing that could hold one up: the limit of latencies at a rate.
        limit.work = told[OnSqlite.name]["cost"] - told[HyperEcho.name]["cost"]

        def kept_up(contender, share):
            return anew(at_rate, contender, "refresh", bodies, told[OnSqlite.name]["rate"] * share, LONG)

        measures = {share: lambda share=share: kept_up(ours, share) for share in SHARES}
        measures["limit"] = lambda: kept_up(limit, SHARES[-1])
        return told | in_turn(measures)


def pauses():
    """How often the two processors stop who is at work on both and does nothing else, and for how many milliseconds."""
    commands = [["taskset", "-c", one, BENCH, "pauses", str(LONG)] for one in [SERVER, GENERATOR]]
    probes = [subprocess.Popen(command, text=True, stdout=subprocess.PIPE) for command in commands]
    each = [float(line) for probe in probes for line in probe.communicate()[0].splitlines()]
    assert all(probe.returncode == 0 for probe in probes)
    return {"count": len(each), "all": sum(each), "longest": max(each, default=0)}


def cost_of_a_hash():
    """As Signet has it by default: KiB, and passes."""
    command = [SIGNET, "--config=/dev/null", "config", "show", "--json"]
    settings = json.loads(subprocess.run(command, env={}, capture_output=True, check=True).stdout)
    return [settings[f"argon2_{name}"]["value"] for name in ["memory_kib", "iterations"]]


def hashes(processors):
    """Argon2 alone, at that cost, on so many processors."""
    cores = ",".join(map(str, OURS[:processors]))
    with TemporaryDirectory() as folder:
        command = ["taskset", "-c", cores, copy(BENCH, folder), "argon2", processors, LONG, *cost_of_a_hash()]
        told = subprocess.run(list(map(str, command)), text=True, capture_output=True, check=True)
    return {"rate": float(told.stdout)}


def storm(service, seconds=LONG):
    """So many log in without pause.

    They are of one account: those that wrk gives up at its end count as guesses, and as one if they are the same.
    """
    return wrk(service, "obtain", service.bodies("obtain")[:1], seconds=seconds, cores=CORES)


def logins():
    with OnSqlite(CORES) as service:
        service.start()
        return storm(service)


def life():
    """Of one service: how long it takes to start, what it holds when idle, what becomes of refreshes and of its memory while so many
    log in, and what connections hold on which nobody asks."""
    with OnSqlite(CORES) as service:
        service.start()
        time.sleep(REST)
        idle = service.memory_kib() / 1024
        with ThreadPoolExecutor() as pool:
            stormed = pool.submit(storm, service, LONG + 2)
            time.sleep(1)
            told = at_rate(service, "refresh", service.bodies("refresh"), IN_A_STORM, LONG, CORES)
            stormed.result()
        peak = service.memory_kib("VmHWM") / 1024
        return {"start": service.started_in * 1000, "idle": idle, "peak": peak, "refresh": told["p99"], "connection": connection(service)}


def connection(service):
    """KiB of a connection that has asked once, and asks nothing more."""
    may_open(IDLE)
    before = settled(service)
    connections = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(IDLE)]
    ask(connections)
    each = (settled(service) - before) / IDLE
    # All of them are still there.
    ask(connections)
    for one in connections:
        one.close()
    return each


def ask(connections):
    for one in connections:
        one.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    for one in connections:
        assert one.recv(4096).startswith(b"HTTP/1.1 404")


def settled(service):
    """KiB that it holds when nothing happens: what is free goes back with requests."""
    time.sleep(REST)
    wrk(service, "refresh", service.bodies("refresh"), seconds=1)
    return service.memory_kib()


def least(what, figure, target, form="{:.2f}"):
    return what, form.format(figure), f"at least {target}", 1 - figure / target


def most(what, figure, target, form="{:.2f}"):
    return what, form.format(figure), f"at most {form.format(target)}", figure / target - 1


def inverse(what, figure, target):
    return what, f"1/{figure:.1f}", f"at most 1/{target}", 1 - figure / target


def targets(refresh, login, growth, counts, size):
    """What is wanted, in the order of its importance: what, the figure, the target, and what share of that it is beyond it."""
    ours, echo, django = refresh[OnSqlite.name], refresh[PoemEcho.name], refresh[Django.name]
    life, (kib, _) = login["life"], cost_of_a_hash()
    storm = life["idle"] + len(OURS) * kib / 1024 * 1.1
    spread = max(refresh[share]["p99"] / refresh[share]["p50"] for share in SHARES)
    shares = ", ".join(f"{share:.0%}" for share in SHARES)
    grown = {operation: growth[operation, users.MANY] / growth[operation, 1] for operation in ["refresh", "obtain"]}
    return [
        least("refresh against the poem echo, requests a second", ours["rate"] / echo["rate"], 0.65),
        most("the same, processor for a request", ours["cost"] / echo["cost"], 1.8),
        least("refresh against Django, requests a second", ours["rate"] / django["rate"], 45, "{:.0f}"),
        inverse("the same, processor for a request", django["cost"] / ours["cost"], 80),
        most(f"refresh, 99th percentile against the median, the worst of {shares} of capacity", spread, 4, "{:.1f}"),
        least("logins against Argon2 alone, on all processors", login["logins"]["rate"] / login["all"]["rate"], 0.95),
        most("refresh, 99th percentile, while 64 clients log in without pause", life["refresh"], 10, "{:.1f} ms"),
        most("memory, idle", life["idle"], 20, "{:.1f} MiB"),
        most("memory, in that storm", life["peak"], storm, "{:.1f} MiB"),
        most(f"{IDLE:,} idle connections, each", life["connection"], 8, "{:.1f} KiB"),
        most("start to the first answer", life["start"], 100, "{:.0f} ms"),
        most("validation of a bad body against a good one, instructions", counts["validation_bad"] / counts["validation_good"], 1.3),
        most(f"refresh with {users.MANY:,} accounts against one, processor", grown["refresh"], 1.3),
        most("login without its hash, the same", grown["obtain"], 1.3),
        most("binary, stripped", size / 2**20, 25, "{:.1f} MiB"),
        most("instructions of a refresh against [those committed](instructions.json)", counts["refreshes"] / instructions.known()["refreshes"], 1.05),
    ]


def verdict(beyond):
    return "met" if beyond <= 0 else f"**missed** by {beyond:.1%}: [why](../docs/performance.md#what-is-missed-and-why)"


def cells(figures):
    return f"{figures['rate']:,.0f} | {figures['busy']:.0%} | {figures['cost']:.1f} us | {figures['p50']:.2f} ms | {figures['p99']:.2f} ms"


def table(refresh, login, growth, counts, size, machine):
    rows = targets(refresh, login, growth, counts, size)
    lines = "\n".join(f"| {what} | {figure} | {target} | {verdict(beyond)} |" for what, figure, target, beyond in rows)
    contenders = "\n".join(
        f"| {kind.name} | {cells(figures)} | {kind.description} |"
        for kind in ALL
        for figures in [refresh[kind.name]]
    )
    bad = refresh["bad"]
    rates = "\n".join(
        f"| {what} | {figures['rate']:,.0f} | {figures['busy']:.0%} | {figures['p50']:.2f} ms | {figures['p99']:.2f} ms | {best:.2f} to {worst:.2f} ms |"
        for what, key in [*((f"{share:.0%}", share) for share in SHARES), ("an echo that works as long, at the same rate", "limit")]
        for figures in [refresh[key]]
        for best, worst in [figures["p99 of rounds"]]
    )
    clients = "\n".join(
        f"| {count} | {cells(figures)} |"
        for count in CLIENTS
        for figures in [refresh[count]]
    )
    return f"""# What `make bench` measured

On {datetime.date.today()}, on {len(OURS)} processors of {processor()}, Linux {platform.release()}. All of it in one run, side by side:
only ratios mean something elsewhere. [How it is measured](main.py), and [what it means](../docs/performance.md).

| what | measured | target | |
|---|---|---|---|
{lines}

Refreshes on one processor, {CONNECTIONS} connections, medians of {ROUNDS} rounds in turn:

| | requests a second | of its processor | for each | median | 99th percentile | |
|---|---|---|---|---|---|---|
{contenders}
| Signet, refused | {cells(bad)} | a body that has no token, on SQLite |

All but the last are asked for 64 accounts in turn. Signet on SQLite at rates that it can keep up with, asked for them at random, for {LONG} seconds a round, latencies
counted from when it was time to ask:

| of capacity | requests a second | of its processor | median | 99th percentile | of each round |
|---|---|---|---|---|---|
{rates}

When nothing was done but to look at the clock, on both processors, the machine stopped one of them for a millisecond or more {machine['count']:.0f} times in
{LONG} seconds: for {machine['all']:.1f} ms in all, and at the longest for {machine['longest']:.1f} ms, in the median round.

With more or fewer clients, each of which asks without pause:

| clients | requests a second | of its processor | for each | median | 99th percentile |
|---|---|---|---|---|---|
{clients}
| {CONNECTIONS}, on {len(OURS)} processors that they share | {cells(refresh['everywhere'])} |

With more accounts, of whom {users.SPREAD:,} are asked for, from all over, on SQLite; the kernel holds their pages:

{users.table(growth)}

Instructions: {", ".join(f"{name} {count:,}" for name, count in counts.items())}. The refreshes are a hundred.

Hashes a second of Argon2 alone: {login['one']['rate']:.1f} on one processor, {login['all']['rate']:.1f} on {len(OURS)}. Logins a second: {login['logins']['rate']:.1f}.
The refreshes in that storm are {IN_A_STORM:,} a second, over {CONNECTIONS} connections.
"""


def main():
    size = Path(SIGNET).stat().st_size
    # First, since it fails where valgrind does: nothing that takes long is lost with it.
    counts = instructions.counted()
    machine = in_turn({"pauses": pauses})["pauses"]
    login = in_turn({"one": lambda: hashes(1), "all": lambda: hashes(len(OURS)), "logins": logins, "life": life})
    refresh = refreshes()
    page = table(refresh, login, users.growth(), counts, size, machine)
    print(page)
    (HERE / "results.md").write_text(page)
    rows = [f"{kind.name}\t{refresh[kind.name]['rate']:.0f}" for kind in [OnSqlite, Quiet, OnPostgres, PoemEcho, HyperEcho, Django]]
    bars = "\n".join(["Refreshes a second, on one processor", *rows])
    subprocess.run([BENCH, "chart", HERE / "results.svg"], input=bars, text=True, check=True)


if __name__ == "__main__":
    main()
