"""How what a request costs grows with the accounts there are: one, as many as are asked for, and 100,000, or as many as the argument says,
of whom as many are asked for, from all over. With an argument, it writes scale.md.

Hashing is made as cheap as it can be, so that what is left of a login is seen.
"""

import sys
from contextlib import ExitStack

import targets
from contenders import OnSqlite
from effort import MANY, SPREAD
from load import SERVER, anew, heading, in_turn, keep, wrk

# Both, and what the table calls them.
OPERATIONS = {"refresh": "refresh", "obtain": "login without its hash"}


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
            (operation, accounts): lambda crowd=crowd, operation=operation: anew(wrk, crowd, operation, crowd.bodies(operation))
            for accounts, crowd in crowds.items()
            for operation in OPERATIONS
        }
        return {key: figures["cost"] for key, figures in in_turn(measures).items()}


def times(costs, operation, accounts):
    """Of what it costs with one."""
    return costs[operation, accounts] / costs[operation, 1]


def wanted(costs):
    many = max(accounts for _, accounts in costs)
    return [
        targets.most(f"{what} with {many:,} accounts against one, processor", times(costs, operation, many), 1.3)
        for operation, what in OPERATIONS.items()
    ]


def table(costs):
    def row(accounts):
        return " | ".join(f"{costs[operation, accounts]:.1f} us | {times(costs, operation, accounts):.2f}" for operation in OPERATIONS)

    counts = sorted({accounts for _, accounts in costs})
    names = " | times | ".join(OPERATIONS.values())
    return "\n".join([f"| accounts | {names} | times |", "|---|---|---|---|---|", *(f"| {count:,} | {row(count)} |" for count in counts)])


def page(costs):
    return f"""# What `make bench-scale` measured

{heading()} [How it is measured](users.py).

{targets.table(wanted(costs))}

{SPREAD:,} accounts are asked for, from all over, on SQLite; the kernel holds their pages:

{table(costs)}
"""


if __name__ == "__main__":
    keep("scale.md", page(growth(int(sys.argv[1]))))
