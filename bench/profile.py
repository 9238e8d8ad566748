"""Draws where the time of a refresh goes, as a flame graph. The binary must have its symbols."""

import subprocess

from contenders import HERE, OnSqlite
from load import SECONDS, SERVER, wrk

WIDTH = 0.3
"""What takes less of the whole, in percent, is left out."""


def main():
    service = OnSqlite(SERVER)
    data = service.folder / "perf.data"
    try:
        record = ["perf", "record", "--quiet", "-F2000", "--call-graph=dwarf,16384", f"-p{service.process.pid}", "-o", data]
        wrk(service, "refresh", service.refreshes(), seconds=1)
        with subprocess.Popen([*record, "--", "sleep", str(SECONDS)]):
            wrk(service, "refresh", service.refreshes())
        script = subprocess.run(["perf", "script", "--no-inline", "-i", data], capture_output=True, check=True).stdout
    finally:
        service.close()
    collapsed = subprocess.run(["inferno-collapse-perf"], input=script, stdout=subprocess.PIPE, check=True).stdout
    draw = ["inferno-flamegraph", "--title=A refresh", f"--minwidth={WIDTH}", "--deterministic", "--colors=rust"]
    (HERE / "refresh.svg").write_bytes(subprocess.run(draw, input=collapsed, stdout=subprocess.PIPE, check=True).stdout)


if __name__ == "__main__":
    main()
