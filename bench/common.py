"""Constants, the load generator wrk, rounds of measurements, and the pages with results."""

import datetime
import json
import os
import platform
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# Runs every measurement briefly, to test the programs. The figures mean nothing, and no file of the repository changes.
SHORT = "--short" in sys.argv

ROUNDS = 1 if SHORT else 5
WARMUP_SECONDS = 1
SECONDS = 1 if SHORT else 3
# For 99th percentiles, and for logins: at the end of a run, each connection has an unfinished login.
LONG_SECONDS = 2 if SHORT else 10
CONNECTIONS = 64

BENCH_DIR = Path(__file__).parent.resolve()
# For data of servers, and copies of binaries. Deleted at exit.
WORK = tempfile.TemporaryDirectory()
OUTPUT_DIR = Path(WORK.name) if SHORT else BENCH_DIR

CPUS = sorted(os.sched_getaffinity(0))
ALL_CORES = ",".join(map(str, CPUS))
SERVER_CORE, GENERATOR_CORE = str(CPUS[0]), str(CPUS[1 % len(CPUS)])


def pinned(cores, *command):
    """Returns the command line that runs the command on these cores."""
    return ["taskset", "-c", cores, *map(str, command)]


def raise_file_limit(connections):
    """Allows this process, and processes it starts later, to open this many connections."""
    limit = connections + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), max(hard, limit)))


def run_wrk(server, operation, bodies, connections=CONNECTIONS, seconds=SECONDS, cores=GENERATOR_CORE, delay_ms=None):
    """Sends requests over all connections, and fails unless every response is 200.

    Returns the number of requests, the rate (requests per second), the load (CPU cores that the server used), the cost (CPU
    microseconds per request), and the latencies p50 and p99 (milliseconds).
    """
    assert server.post(operation, bodies[0]) == 200, server
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=60s", "-s", BENCH_DIR / "wrk.lua", server.url(operation)]
    with tempfile.NamedTemporaryFile("w") as file:
        file.writelines(json.dumps(body) + "\n" for body in bodies)
        file.flush()
        environment = os.environ | {"BODIES": file.name} | ({"DELAY_MS": str(delay_ms)} if delay_ms else {})
        cpu_before = server.cpu_seconds()
        wrk = subprocess.run(pinned(cores, *command), env=environment, text=True, capture_output=True, check=True)
        cpu = server.cpu_seconds() - cpu_before
    result = json.loads(wrk.stderr.splitlines()[-1])
    requests, elapsed = result["requests"], result["seconds"]
    assert requests and result["failed"] == 0, (server, wrk.stdout)
    result |= {"rate": requests / elapsed, "load": cpu / elapsed, "cost": cpu / requests * 1e6}
    return result


def run_wrk_on_new_process(server, operation, bodies, **options):
    """Starts the server, warms it up, and returns the result of wrk."""
    server.start()
    try:
        run_wrk(server, operation, server.bodies(operation), seconds=WARMUP_SECONDS)
        return run_wrk(server, operation, bodies, **options)
    finally:
        server.stop()


def medians(measurements):
    """Runs all measurements in every round, and returns the medians of their results by name.

    Noise of the machine in one round affects all measurements. The order is random, so that no measurement always follows the same one.
    """
    rounds = {name: [] for name in measurements}
    for number in range(ROUNDS):
        for name in random.Random(number).sample(list(measurements), len(measurements)):
            rounds[name].append(measurements[name]())
    return {name: {key: statistics.median(result[key] for result in results) for key in results[0]} for name, results in rounds.items()}


def at_least(name, value, budget, unit=""):
    """Returns a row for `target_table`."""
    return name, value, "at least", budget, unit


def at_most(name, value, budget, unit=""):
    """Returns a row for `target_table`."""
    return name, value, "at most", budget, unit


def target_table(rows):
    lines = ["| target | measured | budget | |", "|---|---|---|---|"]
    for name, value, bound, budget, unit in rows:
        excess = value - budget if bound == "at most" else budget - value
        verdict = "met" if excess <= 0 else "**missed**: [reason](../docs/performance.md#missed-targets)"
        lines.append(f"| {name} | {f'{value:.2f} {unit}'.strip()} | {f'{bound} {budget:g} {unit}'.strip()} | {verdict} |")
    return "\n".join(lines)


def cpu_model():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return model[1] if model else platform.machine()


def write_page(name, title, program, body):
    """Prints and writes a page of results."""
    machine = f"{len(CPUS)} cores of {cpu_model()}, Linux {platform.release()}"
    page = f"""# {title}

Written by `make {program}` on {datetime.date.today()}, on {machine}.
{"A short test run: the figures mean nothing." if SHORT else "Compare figures only with figures of the same run."}

{body}
"""
    print(page)
    (OUTPUT_DIR / name).write_text(page)
