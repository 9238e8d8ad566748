"""10,000 clients connect, and send no request, or stay idle after a request."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

import table
from load import Load
from poll import until
from service import running

EMAILS = [f"client-{number}@example.com" for number in range(6)]
CONNECTIONS = 10_000
# Memory limit for an idle connection, in KiB.
EACH = 20
# The usual soft limit of a login shell. The service increases it to the hard limit.
FEW_FILES = ["sh", "-c", 'ulimit -S -n 1024 && exec "$0" "$@"']


class Idle(unittest.TestCase):
    def hold(self, service, *arguments):
        """Starts the process that opens the connections. Returns the process after all connections are open."""
        command = [sys.executable, Path(__file__).with_name("hold.py"), str(service.port), str(CONNECTIONS), *arguments]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.communicate)
        self.addCleanup(holder.kill)
        self.assertEqual(json.loads(holder.stdout.readline()), {"held": CONNECTIONS, "answered": CONNECTIONS if arguments else 0})
        return holder

    def test_ten_thousand_connections(self):
        service = running(self.addCleanup, *EMAILS, inside=FEW_FILES)
        before = service.sockets()
        with Load(service.port, EMAILS) as load:
            holder = self.hold(service)
            until(lambda: service.sockets() >= before + CONNECTIONS, "the service has accepted all connections")
            load.steady()
            # `hold.py` reports after the service has closed all connections.
            closed = json.loads(holder.stdout.readline())
            load.steady()
        self.assertEqual(closed["closed"], CONNECTIONS)
        self.assertTrue(29 < closed["soonest"] <= closed["latest"] < 40, closed)
        self.assertLess(load.slowest(), 2)
        until(lambda: service.sockets() <= before, "the service has no more sockets than before")
        table.survived(self, f"{CONNECTIONS:,} connections without a request: closed after 30 s", load)

    def test_ten_thousand_that_have_asked_take_little_and_may_ask_again(self):
        service = running(self.addCleanup, *EMAILS, inside=FEW_FILES)
        with Load(service.port, EMAILS) as load:
            load.steady()
            before = service.memory_kib()
            holder = self.hold(service, "ask")
            each = lambda: (service.memory_kib() - before) / CONNECTIONS
            until(lambda: each() < EACH, lambda: f"an idle connection uses at most {EACH} KiB: {each():.1f}", seconds=15)
            holder.stdin.write("\n")
            holder.stdin.flush()
            self.assertEqual(json.loads(holder.stdout.readline()), {"answered": CONNECTIONS})
            load.steady()
        fault = f"{CONNECTIONS:,} idle connections after a request: at most {EACH} KiB of memory each, and the next request succeeds"
        table.survived(self, fault, load)
