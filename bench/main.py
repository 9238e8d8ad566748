"""Measures everything side by side in one run, on the user's own machine, and writes the table and the chart.

For refreshes, a server has one processor, and the generator of load another; for logins, and for what is asked while others log in,
the server has all of them, and the generators share them. Contenders are alike in that. Each is started anew and asked in turn, round
after round, so that what the machine does meanwhile falls on all of them; what is told are medians. Only ratios mean something.
"""

import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import instructions
import results
import users
from contenders import ALL, BENCH, SIGNET, Django, Echo, HyperEcho, OnPostgres, OnSqlite, PoemEcho, Quiet, copy
from effort import CLIENTS, CONNECTIONS, IDLE, IN_A_STORM, LONG, REST, SHARES
from load import CORES, FOLDER, GENERATOR, OURS, SERVER, anew, at_rate, in_turn, keep, may_open, wrk


def refreshes():
    """What a refresh costs each contender; what it costs Signet by clients, on more than one processor, and if it is refused; and how
    long one takes at rates that it can keep up with, beside the limit of that."""
    with ExitStack() as stack:
        contenders = {kind.name: stack.enter_context(kind(SERVER)) for kind in ALL}
        ours, limit, everywhere = contenders[OnSqlite.name], stack.enter_context(HyperEcho(SERVER)), stack.enter_context(OnSqlite(CORES))
        bodies = ours.bodies("refresh")
        measures = {name: lambda it=it: anew(wrk, it, "refresh", bodies) for name, it in contenders.items()}
        for count in CLIENTS:
            if count != CONNECTIONS:
                measures[count] = lambda count=count: anew(wrk, ours, "refresh", bodies, connections=count)
        measures["everywhere"] = lambda: anew(wrk, everywhere, "refresh", bodies, cores=CORES)
        measures["refused"] = lambda: anew(wrk, ours, "refresh", [{"token": None}], expected=400)
        told = in_turn(measures)
        told[CONNECTIONS] = told[OnSqlite.name]
        assert all(told[kind.name]["size"] == told[OnSqlite.name]["size"] for kind in ALL if issubclass(kind, Echo))
        # As much work as a refresh, and nothing that could hold one up: the limit of latencies at a rate.
        limit.work = max(0, told[OnSqlite.name]["cost"] - told[HyperEcho.name]["cost"])

        def kept_up(contender, share):
            return anew(at_rate, contender, "refresh", bodies, told[OnSqlite.name]["rate"] * share, LONG)

        measures = {share: lambda share=share: kept_up(ours, share) for share in SHARES}
        measures["limit"] = lambda: kept_up(limit, SHARES[-1])
        at_rates = in_turn(measures)
    return {
        "contenders": {name: told[name] for name in contenders},
        "clients": {count: told[count] for count in CLIENTS},
        "everywhere": told["everywhere"],
        "refused": told["refused"],
        "rates": {share: at_rates[share] for share in SHARES},
        "limit": at_rates["limit"],
    }


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


def chart(contenders):
    rows = [f"{kind.name}\t{contenders[kind.name]['rate']:.0f}" for kind in [OnSqlite, Quiet, OnPostgres, PoemEcho, HyperEcho, Django]]
    bars = "\n".join(["Refreshes a second, on one processor", *rows])
    subprocess.run([BENCH, "chart", FOLDER / "results.svg"], input=bars, text=True, check=True)


def main():
    told = {
        "binary": Path(SIGNET).stat().st_size,
        "hash_kib": cost_of_a_hash()[0],
        # Before the rest, since it fails where valgrind does: nothing that takes long is lost with it.
        "instructions": instructions.counted(),
        "pauses": in_turn({"pauses": pauses})["pauses"],
        "logins": in_turn({"one": lambda: hashes(1), "all": lambda: hashes(len(OURS)), "storm": logins, "service": life}),
        "refreshes": refreshes(),
        "accounts": users.growth(),
    }
    keep("results.md", results.page(told))
    chart(told["refreshes"]["contenders"])


if __name__ == "__main__":
    main()
