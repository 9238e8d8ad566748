"""Draws where the time of a refresh goes, and of a login where all log in without pause, as flame graphs.

The binary must have its symbols: `cargo build --profile symbols`.
"""

import subprocess

from contenders import OnSqlite
from effort import SECONDS, SHORT, WARM
from load import CORES, FOLDER, GENERATOR, SERVER, wrk

# What takes less of the whole, in percent, is left out.
WIDTH = 0.3


def draw(title, cores, generator, operation, accounts):
    with OnSqlite(cores) as service:
        service.start()
        data = service.folder / "perf.data"
        record = ["perf", "record", "--quiet", "-F2000", "--call-graph=dwarf,16384", f"-p{service.process.pid}", "-o", data]
        asked = service, operation, service.bodies(operation)[:accounts]
        wrk(*asked, seconds=WARM, cores=generator)
        with subprocess.Popen([*record, "--", "sleep", str(SECONDS)]):
            wrk(*asked, cores=generator)
        script = subprocess.run(["perf", "script", "--no-inline", "-i", data], capture_output=True, check=True).stdout
    assert SHORT or b"signet::" in script, "the binary has no symbols"
    collapsed = subprocess.run(["inferno-collapse-perf"], input=script, stdout=subprocess.PIPE, check=True).stdout
    flame = ["inferno-flamegraph", f"--title={title}", f"--minwidth={WIDTH}", "--deterministic", "--colors=rust"]
    (FOLDER / f"{operation}.svg").write_bytes(subprocess.run(flame, input=collapsed, stdout=subprocess.PIPE, check=True).stdout)


def main():
    draw("A refresh", SERVER, GENERATOR, "refresh", 64)
    draw("A login, in a storm of them", CORES, CORES, "obtain", 1)


if __name__ == "__main__":
    main()
