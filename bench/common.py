"""Constants, the load generator wrk, rounds of measurements, and the pages with results."""

import datetime
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# Runs every measurement briefly, to test the programs. The figures are meaningless, and no file of the repository changes.
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


def run_wrk(server, operation, bodies, connections=CONNECTIONS, seconds=SECONDS, cores=GENERATOR_CORE, strict=True, **environment):
    """Sends requests over all connections. wrk.lua describes its environment, here in lower case. If strict, every response must be 200.

    Returns the number of requests, the rate (requests per second), the load (CPU cores that the server used), the cost (CPU
    microseconds per request), and the latencies p50 and p99 (milliseconds).
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=60s", "-s", BENCH_DIR / "wrk.lua", server.url(operation)]
    with tempfile.NamedTemporaryFile("w") as file:
        file.writelines(json.dumps(body) + "\n" for body in bodies)
        file.flush()
        variables = {"BODIES": file.name} | {name.upper(): str(value) for name, value in environment.items()}
        cpu_before = server.cpu_seconds()
        wrk = subprocess.run(pinned(cores, *command), env=os.environ | variables, text=True, capture_output=True, check=True)
        cpu = server.cpu_seconds() - cpu_before
    result = json.loads(wrk.stderr.splitlines()[-1])
    requests, elapsed = result["requests"], result["seconds"]
    assert requests and not (strict and result["failed"]), (server, wrk.stdout)
    return result | {"rate": requests / elapsed, "load": cpu / elapsed, "cost": cpu / requests * 1e6}


def run_wrk_on_new_process(server, operation, bodies, **options):
    """Starts the server, warms it up, and returns the result of wrk."""
    server.start()
    try:
        run_wrk(server, operation, bodies, **options | {"seconds": WARMUP_SECONDS})
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
    return {
        name: {key: statistics.median(result[key] for result in results) for key in results[0] if key != "statuses"}
        for name, results in rounds.items()
    }


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def target_table(targets):
    """Returns a table from tuples of a name, the measured value, "at least" or "at most", the budget, and the unit."""
    rows = []
    for name, value, bound, budget, unit in targets:
        met = value <= budget if bound == "at most" else value >= budget
        verdict = "met" if met else "**missed**: [reason](../docs/explanation/performance.md#missed-targets)"
        rows.append([name, f"{value:.2f} {unit}".strip(), f"{bound} {budget:g} {unit}".strip(), verdict])
    return table(["target", "measured", "budget", ""], rows)


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
