"""Has an instrumented Signet do what it does in service, and tells the compiler what it was busy with: packaging/signet.profdata.

Refreshes and logins, of few clients and of many, on both stores, and what is refused.
"""

import subprocess
import tempfile
from pathlib import Path

from contenders import HERE, OnPostgres, OnSqlite
from effort import CONNECTIONS
from load import SERVER, wrk
from users import Crowd

PROFILE = HERE.parent / "packaging/signet.profdata"


class OnPostgresToo(Crowd, OnPostgres):
    pass


def train(kind, operations, told):
    with kind(SERVER) as service:
        service.environment["LLVM_PROFILE_FILE"] = f"{told}/{kind.__name__}.profraw"
        service.start()
        for operation in operations:
            bodies = service.bodies(operation)
            for clients in [1, 8, CONNECTIONS]:
                wrk(service, operation, bodies, connections=clients)
            wrk(service, operation, [{}], expected=400)


def merge(told):
    """What was never done is left out: it would be nine tenths of the file."""
    libraries = subprocess.run(["rustc", "--print", "target-libdir"], text=True, capture_output=True, check=True).stdout
    tool = Path(libraries.strip()).parent / "bin/llvm-profdata"
    subprocess.run([tool, "merge", "--sparse", "--output", PROFILE, *Path(told).iterdir()], check=True)
    with open(f"{PROFILE}.fits", "w") as fits:
        subprocess.run([PROFILE.parent / "fits"], stdout=fits, check=True)


def main():
    with tempfile.TemporaryDirectory() as told:
        train(Crowd, ["refresh", "obtain"], told)
        train(OnPostgresToo, ["refresh", "obtain"], told)
        # At the cost that hashes have.
        train(OnSqlite, ["obtain"], told)
        merge(told)


if __name__ == "__main__":
    main()
