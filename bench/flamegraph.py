"""Writes flame graphs of refreshes and logins. The binary needs symbols: `cargo build --profile symbols`."""

import subprocess

from common import ALL_CORES, GENERATOR_CORE, OUTPUT_DIR, SECONDS, SERVER_CORE, SHORT, WARMUP_SECONDS, run_wrk
from servers import Signet

# Smaller frames, in percent, are left out.
MIN_WIDTH = 0.3


def draw(title, cores, generator_cores, operation, accounts):
    with Signet(cores) as server:
        server.start()
        data = server.directory / "perf.data"
        perf = ["perf", "record", "--quiet", "-F2000", "--call-graph=dwarf,16384", f"-p{server.process.pid}", "-o", data]
        bodies = server.bodies(operation)[:accounts]
        run_wrk(server, operation, bodies, seconds=WARMUP_SECONDS, cores=generator_cores)
        with subprocess.Popen([*perf, "--", "sleep", str(SECONDS)]):
            run_wrk(server, operation, bodies, cores=generator_cores)
        stacks = subprocess.run(["perf", "script", "--no-inline", "-i", data], capture_output=True, check=True).stdout
    assert SHORT or b"signet::" in stacks, "the binary has no symbols"
    collapsed = subprocess.run(["inferno-collapse-perf"], input=stacks, stdout=subprocess.PIPE, check=True).stdout
    options = [f"--title={title}", f"--minwidth={MIN_WIDTH}", "--deterministic", "--colors=rust"]
    graph = subprocess.run(["inferno-flamegraph", *options], input=collapsed, stdout=subprocess.PIPE, check=True).stdout
    (OUTPUT_DIR / f"{operation}.svg").write_bytes(graph)


def main():
    draw("Refreshes", SERVER_CORE, GENERATOR_CORE, "refresh", 64)
    draw("Logins", ALL_CORES, ALL_CORES, "obtain", 1)


if __name__ == "__main__":
    main()
