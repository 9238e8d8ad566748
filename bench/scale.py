"""Measures the growth of CPU time per request with the number of accounts, and writes scale.md. The argument is the largest number."""

import sys
from contextlib import ExitStack

from common import SERVER_CORE, at_most, medians, run_wrk_on_new_process, target_table, write_page
from servers import MAX_REQUEST_ACCOUNTS, Signet

SETTINGS = {
    # The cheapest hash: a login is then mostly database work.
    "SIGNET_ARGON2_MEMORY_KIB": "8",
    "SIGNET_ARGON2_ITERATIONS": "1",
    # wrk abandons logins at its end, and the server counts those as wrong guesses.
    "SIGNET_THROTTLE_ADDRESS": "100000/15m",
    "SIGNET_THROTTLE_ACCOUNT": "100000/15m",
}
OPERATIONS = ["refresh", "obtain"]


def measure(accounts):
    """Returns CPU microseconds per request, by operation and number of accounts."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Signet(SERVER_CORE, count, **SETTINGS)) for count in [1, MAX_REQUEST_ACCOUNTS, accounts]]
        measurements = {
            (operation, server.accounts): lambda server=server, operation=operation: run_wrk_on_new_process(
                server, operation, server.bodies(operation)
            )
            for server in servers
            for operation in OPERATIONS
        }
        return {key: result["cost"] for key, result in medians(measurements).items()}


def target(costs):
    most = max(accounts for _, accounts in costs)
    return at_most(f"refresh with {most:,} accounts against one, CPU", costs["refresh", most] / costs["refresh", 1], 1.5)


def table(costs):
    rows = [
        f"| {count:,} | " + " | ".join(f"{costs[name, count]:.1f} us | {costs[name, count] / costs[name, 1]:.2f}" for name in OPERATIONS) + " |"
        for count in sorted({accounts for _, accounts in costs})
    ]
    return f"""Signet on SQLite on one core. Requests use up to {MAX_REQUEST_ACCOUNTS:,} accounts, spread over all accounts. The database is in the page cache.
Logins use the cheapest possible hash.

| accounts | CPU per refresh | against one account | CPU per login | against one account |
|---|---|---|---|---|
""" + "\n".join(rows)


def main():
    costs = measure(int(sys.argv[1]))
    write_page("scale.md", "Growth with accounts", "bench-scale", f"{target_table([target(costs)])}\n\n{table(costs)}")


if __name__ == "__main__":
    main()
