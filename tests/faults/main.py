"""Tests all faults with real processes and sockets, prints the table, and writes docs/explanation/faults.md."""

import shutil
import signal
import sys
import unittest

import table
from clock import Clock, library
from database import Database
from disk import Disk
from idle import Idle
from killed import Killed
from network import Network
from postgres import binaries
from replicas import Replicas
from sockets import Sockets

FAULTS = [Database, Network, Killed, Replicas, Disk, Idle, Sockets, Clock]


def load_tests(loader, _tests, _pattern):
    """Returns all tests. The rows of the table have the same order."""
    return unittest.TestSuite(loader.loadTestsFromTestCase(fault) for fault in FAULTS)


def missing():
    tools = {name: shutil.which(name) for name in ["haproxy", "strace", "unshare", "nsenter", "ps"]}
    tools |= {"postgresql": binaries(), "faketime": library()}
    return [name for name, found in tools.items() if not found]


if __name__ == "__main__":
    if lacking := missing():
        sys.exit(f"missing tools: {', '.join(lacking)}; run tests/faults/setup to install them")
    # After the first signal, the suite stops after the current test, so that the test stops its processes.
    unittest.installHandler()
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    outcome = unittest.main(exit=False, verbosity=2).result
    failed = len(outcome.failures) + len(outcome.errors)
    print(table.markdown())
    # A run of only some tests must not overwrite the page of all tests.
    everything = load_tests(unittest.defaultTestLoader, None, None).countTestCases()
    if not failed and len(table.rows) == everything:
        table.write()
    print(f"{outcome.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0 or outcome.shouldStop)
