"""Measures the growth of CPU time per request with the number of accounts, and writes scale.md. The argument is the largest number."""

import sys
from contextlib import ExitStack
from functools import partial

from common import SERVER_CORE, medians, run_wrk_on_new_process, table, target_table, write_page
from servers import MAX_REQUEST_ACCOUNTS, UNLIMITED, Signet

# The cheapest hash: a login is then mostly database work.
CHEAP_HASH = {"SIGNET_ARGON2_MEMORY_KIB": "8", "SIGNET_ARGON2_ITERATIONS": "1"}
# wrk abandons logins at its end, and the server counts them as wrong guesses.
SETTINGS = CHEAP_HASH | UNLIMITED
OPERATIONS = ["refresh", "obtain"]


def measure(accounts):
    """Returns CPU microseconds per request, by operation and number of accounts."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Signet(SERVER_CORE, count, **SETTINGS)) for count in [1, MAX_REQUEST_ACCOUNTS, accounts]]
        measurements = {
            (operation, server.accounts): partial(run_wrk_on_new_process, server, operation, server.bodies(operation))
            for server in servers
            for operation in OPERATIONS
        }
        return {key: result["cost"] for key, result in medians(measurements).items()}


def target(costs):
    most = max(accounts for _, accounts in costs)
    name = f"refresh with {most:,} accounts against one, CPU"
    return name, costs["refresh", most] / costs["refresh", 1], "at most", 1.5, ""


def cost_table(costs):
    rows = []
    for accounts in sorted({accounts for _, accounts in costs}):
        cells = [[f"{costs[name, accounts]:.1f} us", f"{costs[name, accounts] / costs[name, 1]:.2f}"] for name in OPERATIONS]
        rows.append([f"{accounts:,}", *cells[0], *cells[1]])
    header = ["accounts", "CPU per refresh", "against one account", "CPU per login", "against one account"]
    return f"""Signet on SQLite on one core. Requests use up to {MAX_REQUEST_ACCOUNTS:,} accounts, spread over all accounts.
The database is in the page cache. Logins use the cheapest possible hash.

{table(header, rows)}"""


def main():
    costs = measure(int(sys.argv[1]))
    write_page("scale.md", "Growth with accounts", "bench-scale", f"{target_table([target(costs)])}\n\n{cost_table(costs)}")


if __name__ == "__main__":
    main()
