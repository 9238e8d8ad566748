"""Asks a contender, without pause or at a rate, and tells what came of it."""

import datetime
import json
import math
import os
import platform
import random
import re
import resource
import sqlite3
import statistics
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

from contenders import HERE, KEPT, PATH
from effort import CONNECTIONS, KEPT_UP, ROUNDS, SECONDS, SHORT, WARM

# Requests of one run of oha, at most.
AT_ONCE = 2**17
# The first two that may be used: one for a server, and one for who asks. And all of them.
OURS = sorted(os.sched_getaffinity(0))
SERVER, GENERATOR, CORES = str(OURS[0]), str(OURS[1 % len(OURS)]), ",".join(map(str, OURS))

# Where pages go. One whose figures mean nothing is thrown away.
FOLDER = Path(KEPT.name) if SHORT else HERE


def processor():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return model[1] if model else platform.machine()


def heading():
    """What a page of figures begins with."""
    machine = f"{len(OURS)} processors of {processor()}, Linux {platform.release()}"
    meant = "of a moment: no figure means anything" if SHORT else "side by side:\nonly ratios mean something elsewhere"
    return f"On {datetime.date.today()}, on {machine}. All of it in one run, {meant}."


def keep(name, page):
    """Tells a page of figures, and writes it."""
    print(page)
    (FOLDER / name).write_text(page)


def may_open(connections):
    """Lets this process open so many, and what it has open besides."""
    wanted = connections + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))


def anew(measure, contender, operation, bodies, *more, **how):
    """What a measure tells of a contender that was started for it, and has been asked for a moment."""
    contender.start()
    try:
        wrk(contender, operation, contender.bodies(operation), seconds=WARM)
        return measure(contender, operation, bodies, *more, **how)
    finally:
        contender.stop()


def lines(bodies):
    """A file with a body on each line."""
    file = tempfile.NamedTemporaryFile("w")
    file.writelines(json.dumps(body) + "\n" for body in bodies)
    file.flush()
    return file


def wrk(contender, operation, bodies, connections=CONNECTIONS, seconds=SECONDS, cores=GENERATOR, expected=200):
    """Asks without pause; how many answers a second, the processor time of each in microseconds, and latencies in milliseconds."""
    assert contender.post(operation, bodies[0]) == expected, contender.name
    command = ["taskset", "-c", cores, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=60s", "-s", HERE / "post.lua"]
    with lines(bodies) as file:
        environment = os.environ | {"BODIES": file.name, "EXPECTED": str(expected)}
        before = contender.seconds()
        told = subprocess.run([*command, url(contender, operation)], env=environment, text=True, capture_output=True, check=True)
        used = contender.seconds() - before
    figures = json.loads(told.stderr.splitlines()[-1])
    assert figures["failed"] == 0, (contender.name, told.stdout)
    return {
        "requests": figures["requests"],
        "size": contender.size,
        "rate": figures["requests"] / figures["seconds"],
        "busy": used / figures["seconds"],
        "cost": used / figures["requests"] * 1e6,
        "p50": figures["p50"] / 1000,
        "p99": figures["p99"] / 1000,
    }


def at_rate(contender, operation, bodies, rate, seconds, cores=GENERATOR):
    """Asks so many times a second, whatever the answers take: latencies in milliseconds, counted from when it was time to ask.

    oha keeps what it is told in a list, stands still while that doubles, for 20 ms at half a million, and counts that as the server's:
    so it is started anew before there is so much.
    """
    runs = math.ceil(rate * seconds / AT_ONCE)
    command = ["taskset", "-c", cores, "oha", "--no-tui", "--output-format=json", "--latency-correction", "--method=POST"]
    command += [f"-z{seconds * 1000 / runs:.0f}ms", f"-q{rate:.0f}", f"-c{CONNECTIONS}", "-HContent-Type: application/json", "-Z"]
    with lines(bodies) as file:
        before = contender.seconds()
        told = [oha(contender, [*command, file.name, url(contender, operation)]) for _ in range(runs)]
        used = contender.seconds() - before
    took = sum(seconds for seconds, _ in told)
    latencies = sorted(latency for _, latencies in told for latency in latencies)
    answered = len(latencies)
    assert answered > KEPT_UP * rate * took, (contender.name, rate, answered / took)
    return {
        "rate": answered / took,
        "busy": used / took,
        "p50": latencies[answered // 2] * 1000,
        "p99": latencies[answered * 99 // 100] * 1000,
    }


def oha(contender, command):
    """Runs it: for how many seconds it asked, and how many each answer took."""
    # In memory: none of it is on its way to the disk while others are asked.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        answers = f"{folder}/answers"
        told = json.loads(subprocess.run([*command, f"--db-url={answers}"], text=True, capture_output=True, check=True).stdout)
        # What is under way at the end is given up.
        unanswered = set(told["errorDistribution"]) - {"aborted due to deadline"}
        assert set(told["statusCodeDistribution"]) == {"200"} and not unanswered, (contender.name, told)
        with closing(sqlite3.connect(answers)) as database:
            return told["summary"]["total"], [latency for (latency,) in database.execute("SELECT duration FROM oha")]


def url(contender, operation):
    return f"http://127.0.0.1:{contender.port}{PATH.format(operation)}"


def in_turn(measures):
    """Medians of what each measure tells, round after round: what the machine does meanwhile falls on all of them. Each round has an
    order of its own, so that none always comes after the same other."""
    rounds = {name: [] for name in measures}
    for number in range(ROUNDS + 1):
        for name in random.Random(number).sample(list(measures), len(measures)):
            told = measures[name]()
            if number > 0:  # The first is to warm up.
                rounds[name].append(told)
    return {name: summary(told) for name, told in rounds.items()}


def summary(rounds):
    figures = {key: statistics.median(told[key] for told in rounds) for key in rounds[0]}
    if "p99" in figures:
        figures["best"], figures["worst"] = (extreme(told["p99"] for told in rounds) for extreme in [min, max])
    return figures
