"""Copies a database of accounts from SQLite to PostgreSQL and back, and writes copies.md. The argument is the number of accounts."""

import subprocess
import sys
import time
from contextlib import closing

import psutil
from common import CPUS, SERVER_CORE, table, target_table, write_page
from servers import SIGNET, Postgres, Signet


def measure(server, source, target):
    """Returns the seconds of a copy, and the peak memory of the command in MiB."""
    started = time.monotonic()
    command = [SIGNET, "database", "copy", "--quiet", "--from", source, "--to", target]
    with subprocess.Popen(command, cwd=server.directory, env=server.environment, stdout=subprocess.DEVNULL) as process:
        peak = 0
        while process.poll() is None:
            try:
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.05)
    assert process.returncode == 0, (source, target)
    return time.monotonic() - started, peak / 1024**2


def main():
    accounts = int(sys.argv[1])
    with Signet(SERVER_CORE, accounts) as server, closing(Postgres(fsync="on")) as postgres:
        postgres.sql("CREATE DATABASE copy")
        copies = [
            ("SQLite to PostgreSQL", "sqlite:data/signet.db", postgres.url("copy")),
            ("PostgreSQL to SQLite", postgres.url("copy"), "sqlite:copy.db"),
            ("SQLite to SQLite", "sqlite:copy.db", "sqlite:second.db"),
        ]
        results = {name: measure(server, source, target) for name, source, target in copies}
    slowest, most = (max(result[index] for result in results.values()) for index in (0, 1))
    targets = [("slowest copy", slowest, "at most", 60, "s"), ("peak memory", most, "at most", 100, "MiB")]
    rows = [[name, f"{seconds:.1f} s", f"{accounts / seconds:,.0f}", f"{mib:.0f} MiB"] for name, (seconds, mib) in results.items()]
    body = f"""{target_table(targets)}

`signet database copy` copies {accounts:,} accounts. The command and PostgreSQL share {len(CPUS)} cores. [`copies.py`](copies.py) measures them.

{table(["copy", "time", "accounts per second", "peak memory"], rows)}"""
    write_page("copies.md", "Copies of a database", "bench-copy", body)


if __name__ == "__main__":
    main()
