"""How what a request costs grows with the accounts there are: one, as many as are asked for, and 100,000, or as many as the argument says,
of whom as many are asked for, from all over.

Hashing is made as cheap as it can be, so that what is left of a login is seen.
"""

import sys
from contextlib import ExitStack

from contenders import SPREAD, OnSqlite
from load import SERVER, anew, in_turn, wrk

MANY = 100_000


class Crowd(OnSqlite):
    def prepare(self):
        self.environment |= {"SIGNET_ARGON2_MEMORY_KIB": "8", "SIGNET_ARGON2_ITERATIONS": "1"}
        # Logins that wrk gives up at its end count as guesses.
        self.environment |= {"SIGNET_THROTTLE_ADDRESS": "100000/15m", "SIGNET_THROTTLE_ACCOUNT": "100000/15m"}
        super().prepare()


def growth(many=MANY):
    """Microseconds of processor for a refresh and for the rest of a login, by operation and by how many accounts there are."""
    with ExitStack() as stack:
        crowds = {accounts: stack.enter_context(Crowd(SERVER, accounts)) for accounts in [1, SPREAD, many]}
        measures = {
            (operation, accounts): lambda crowd=crowd, operation=operation, bodies=crowd.bodies(operation): anew(wrk, crowd, operation, bodies)
            for accounts, crowd in crowds.items()
            for operation in ["refresh", "obtain"]
        }
        return {key: figures["cost"] for key, figures in in_turn(measures).items()}


def table(costs):
    """The same, with how many times that is of what it costs with one."""

    def cell(operation, accounts):
        return f"{costs[operation, accounts]:.1f} us | {costs[operation, accounts] / costs[operation, 1]:.2f}"

    rows = (f"| {count:,} | {cell('refresh', count)} | {cell('obtain', count)} |" for name, count in costs if name == "refresh")
    return "\n".join(["| accounts | refresh | times | login without its hash | times |", "|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    print(table(growth(int(sys.argv[1]))))
