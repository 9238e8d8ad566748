"""The disk of the SQLite database is full or read-only while the service runs."""

import time
import unittest

import table
from load import UNAVAILABLE, Load
from read_only import ReadOnly
from service import OBTAIN, REFRESH, WAIT, running
from small_disk import SmallDisk

EMAILS = [f"client-{number}@example.com" for number in range(6)]


class Disk(unittest.TestCase):
    def setUp(self):
        self.disk = SmallDisk()
        self.addCleanup(self.disk.close)
        database = f"sqlite:{self.disk.folder}/signet.db"
        self.service = running(self.addCleanup, *EMAILS, database=database, inside=self.disk.inside)

    def survive(self, fault, fail, repair):
        with Load(self.service.port, EMAILS) as load:
            load.steady()
            before = len(load.answers)
            fail()
            # At least two logins of each client, and the refreshes between them.
            load.hear(8)
            during = load.answers[before:]
            repaired = time.monotonic()
            repair()
            load.steady()
        # A login writes to the database, and a refresh does not.
        self.assertIn((OBTAIN, UNAVAILABLE), [(answer.path, answer.kind) for answer in during])
        refused = [answer for answer in load.answers if answer.path == REFRESH and answer.kind == UNAVAILABLE]
        self.assertEqual(refused, [])
        self.assertLess(load.slowest(), WAIT + 2)
        # The process still runs, and commands can add accounts.
        self.assertIsNone(self.service.process.poll())
        self.service.add("late@example.com")
        missing = {*EMAILS, "late@example.com"} - self.service.emails()
        table.survived(self, fault, load, [UNAVAILABLE], missing, load.recovery(repaired))

    def test_full(self):
        self.survive("the disk of the SQLite database is full", self.disk.fill, self.disk.make_room)

    def test_read_only(self):
        read_only = ReadOnly(self.service.process)
        self.addCleanup(read_only.end)
        self.survive("the disk of the SQLite database is read-only", read_only.begin, read_only.end)
