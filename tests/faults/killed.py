"""The service is killed several times under load."""

import time
import unittest

import table
from adding import Adding
from load import Load
from postgres import Postgres
from service import running

EMAILS = [f"client-{number}@example.com" for number in range(6)]
TIMES = 5


class Killed(unittest.TestCase):
    def survive(self, fault, **settings):
        service = running(self.addCleanup, *EMAILS, **settings)
        with Load(service.port, EMAILS) as load, Adding(service) as adding:
            recoveries = []
            load.steady()
            for _ in range(TIMES):
                adding.more(2)
                service.kill()
                # The recovery time includes the start of the service.
                killed = time.monotonic()
                service.start()
                load.steady()
                recoveries.append(load.recovery(killed))
            adding.more(2)
        self.assertIn("reset", load.errors(), "no request was in flight at any kill")
        # A dead service cannot respond with 503.
        missing = {*EMAILS, *adding.acknowledged} - service.emails() | adding.missing()
        may_see = ["reset", "refused"]
        table.survived(self, fault, load, may_see, missing, max(recoveries), ", `user create` in a loop")

    def test_on_sqlite(self):
        self.survive(f"the service is killed {TIMES} times, on SQLite")

    def test_on_postgres(self):
        postgres = Postgres(fsync="on")
        self.addCleanup(postgres.close)
        self.survive(f"the service is killed {TIMES} times, on PostgreSQL", database=postgres.url())
