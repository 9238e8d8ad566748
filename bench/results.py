"""The page of what `make bench` measured: what is wanted first, and then the figures that it is made of."""

import instructions
import targets
import users
from contenders import ALL, Django, OnSqlite, PoemEcho
from effort import CONNECTIONS, IDLE, IN_A_STORM, LONG, ROUNDS, SPREAD
from load import OURS, heading
from targets import inverse, least, most

MIB = 1024**2


def wanted(told):
    """In the order of its importance."""
    contenders, rates = told["refreshes"]["contenders"], told["refreshes"]["rates"]
    ours, echo, django = contenders[OnSqlite.name], contenders[PoemEcho.name], contenders[Django.name]
    spread = max(figures["p99"] / figures["p50"] for figures in rates.values())
    shares = ", ".join(f"{share:.0%}" for share in rates)
    logins, counts = told["logins"], told["instructions"]
    service = logins["service"]
    in_a_storm = service["idle"] + len(OURS) * told["hash_kib"] / 1024 * 1.1
    committed = instructions.known()["counts"]["refreshes"]
    return [
        least("refresh against the poem echo, requests a second", ours["rate"] / echo["rate"], 0.65),
        most("the same, processor for a request", ours["cost"] / echo["cost"], 1.8),
        least("refresh against Django, requests a second", ours["rate"] / django["rate"], 45, "{:.0f}"),
        inverse("the same, processor for a request", django["cost"] / ours["cost"], 80),
        most(f"refresh, 99th percentile against the median, the worst of {shares} of capacity", spread, 4, "{:.1f}"),
        least("logins against Argon2 alone, on all processors", logins["storm"]["rate"] / logins["all"]["rate"], 0.95),
        most(f"refresh, 99th percentile, while {CONNECTIONS} clients log in without pause", service["refresh"], 10, "{:.1f} ms"),
        most("memory, idle", service["idle"], 20, "{:.1f} MiB"),
        most("memory, in that storm", service["peak"], in_a_storm, "{:.1f} MiB"),
        most(f"{IDLE:,} idle connections, each", service["connection"], 20, "{:.1f} KiB"),
        most("start to the first answer", service["start"], 100, "{:.0f} ms"),
        most("validation of a bad body against a good one, instructions", counts["validation_bad"] / counts["validation_good"], 1.3),
        *users.wanted(told["accounts"]),
        most("binary, stripped", told["binary"] / MIB, 25, "{:.1f} MiB"),
        most("instructions of a refresh against [those committed](instructions.json)", counts["refreshes"] / committed, 1.05),
    ]


def cells(figures):
    return f"{figures['rate']:,.0f} | {figures['busy']:.0%} | {figures['cost']:.1f} us | {figures['p50']:.2f} ms | {figures['p99']:.2f} ms"


def by_contender(refreshes):
    rows = [f"| {kind.name} | {cells(refreshes['contenders'][kind.name])} | {kind.description} |" for kind in ALL]
    return "\n".join([*rows, f"| Signet, refused | {cells(refreshes['refused'])} | a body that has no token, on SQLite |"])


def by_rate(refreshes):
    def row(name, figures):
        rounds = f"{figures['best']:.2f} to {figures['worst']:.2f} ms"
        return f"| {name} | {figures['rate']:,.0f} | {figures['busy']:.0%} | {figures['p50']:.2f} ms | {figures['p99']:.2f} ms | {rounds} |"

    rows = [row(f"{share:.0%}", figures) for share, figures in refreshes["rates"].items()]
    return "\n".join([*rows, row("an echo that works as long, at the same rate", refreshes["limit"])])


def by_clients(refreshes):
    rows = [f"| {count} | {cells(figures)} |" for count, figures in refreshes["clients"].items()]
    return "\n".join([*rows, f"| {CONNECTIONS}, on {len(OURS)} processors that they share | {cells(refreshes['everywhere'])} |"])


def page(told):
    refreshes, logins, pauses = told["refreshes"], told["logins"], told["pauses"]
    return f"""# What `make bench` measured

{heading()} [How it is measured](main.py), and [what it means](../docs/performance.md).

{targets.table(wanted(told))}

Refreshes on one processor, {CONNECTIONS} connections, medians of {ROUNDS} rounds in turn:

| | requests a second | of its processor | for each | median | 99th percentile | |
|---|---|---|---|---|---|---|
{by_contender(refreshes)}

All but the last are asked for 64 accounts in turn. All are plain release builds. Signet on SQLite at rates that it can keep up with, asked for
them at random, for {LONG} seconds a round, latencies counted from when it was time to ask:

| of capacity | requests a second | of its processor | median | 99th percentile | of each round |
|---|---|---|---|---|---|
{by_rate(refreshes)}

When nothing was done but to look at the clock, on both processors, the machine stopped one of them for a millisecond or more {pauses['count']:.0f} times in
{LONG} seconds: for {pauses['all']:.1f} ms in all, and at the longest for {pauses['longest']:.1f} ms, in the median round.

With more or fewer clients, each of which asks without pause:

| clients | requests a second | of its processor | for each | median | 99th percentile |
|---|---|---|---|---|---|
{by_clients(refreshes)}

With more accounts, of whom {SPREAD:,} are asked for, from all over, on SQLite; the kernel holds their pages, and
[`make bench-scale`](scale.md) has more of them:

{users.table(told["accounts"])}

Instructions: {", ".join(f"{name} {count:,}" for name, count in told["instructions"].items())}. The refreshes are a hundred.

Hashes a second of Argon2 alone: {logins['one']['rate']:.1f} on one processor, {logins['all']['rate']:.1f} on {len(OURS)}. Logins a second: {logins['storm']['rate']:.1f}.
The refreshes in that storm are {IN_A_STORM:,} a second, over {CONNECTIONS} connections.
"""
