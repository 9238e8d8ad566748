"""PostgreSQL fails: it is stopped, restarted, killed, frozen, or lets nobody in."""

import signal
import time
import unittest

import table
from adding import Adding
from hogs import Hogs
from load import UNAVAILABLE, Load
from poll import until
from postgres import Postgres
from service import WAIT, running

# More than the connections of the service to it, which are 8.
EMAILS = [f"client-{number}@example.com" for number in range(12)]


class Database(unittest.TestCase):
    def setUp(self):
        # As it is run: what was acknowledged is on the disk. Its log tells the time, as `ready` reads it.
        self.postgres = Postgres(fsync="on", max_connections=20, log_line_prefix="%n")
        self.addCleanup(self.postgres.close)
        self.service = running(self.addCleanup, *EMAILS, database=self.postgres.url())

    def survive(self, fault, fail, repair, unavailable=True):
        """The database fails and is repaired, under load, while accounts are added. `repair` returns when it was."""
        with Load(self.service.port, EMAILS) as load, Adding(self.service) as adding:
            load.steady()
            adding.more(1)
            before = len(load.answers)
            fail()
            # So long that nobody has an answer of before the fault.
            load.hear(3)
            if unavailable:
                self.assertIn(UNAVAILABLE, [answer.kind for answer in load.answers[before:]])
                # A proxy is told so; who restarts what is dead is not.
                self.assertEqual([self.service.probe("/readyz"), self.service.probe("/healthz")], [503, 200])
            repaired = repair()
            load.steady()
            self.assertEqual(self.service.probe("/readyz"), 200)
            adding.more(1)
        self.assertLess(load.slowest(), WAIT + 2)
        missing = {*EMAILS, *adding.acknowledged} - self.service.emails() | adding.missing()
        recovery = load.recovery(repaired)
        table.survived(self, fault, load, [UNAVAILABLE], missing, recovery, ", `user create` in a loop")

    def ready(self):
        """When the server last said that it is."""
        said = [line for line in (self.postgres.folder / "log").read_text().splitlines() if "ready to accept" in line]
        return time.monotonic() - (time.time() - float(said[-1].partition("LOG:")[0]))

    def start(self):
        self.postgres.start()
        return self.ready()

    def test_stopped(self):
        self.survive("PostgreSQL is stopped and started", self.postgres.stop, self.start)

    def test_restarted(self):
        def restart():
            log = self.postgres.folder / "log"
            self.postgres.run("pg_ctl", "-D", self.postgres.data, "-l", log, "-m", "fast", "-w", "restart")
            return self.ready()

        # It may be back before anybody was told to try again.
        self.survive("PostgreSQL is restarted", lambda: None, restart, unavailable=False)

    def test_killed(self):
        def kill():
            processes = self.postgres.processes()
            self.postgres.signal(signal.SIGKILL)
            until(lambda: not any(map(is_alive, processes)), "its processes are gone")

        self.survive("all processes of PostgreSQL are killed", kill, self.start)

    def test_frozen(self):
        def thaw():
            self.postgres.signal(signal.SIGCONT)
            return time.monotonic()

        def freeze():
            self.postgres.signal(signal.SIGSTOP)

        self.survive("PostgreSQL is frozen (SIGSTOP) and continued (SIGCONT)", freeze, thaw)

    def test_out_of_connections(self):
        hogs = Hogs(self.postgres)
        self.addCleanup(hogs.release)

        def release():
            hogs.release()
            return time.monotonic()

        self.survive("PostgreSQL is out of connections", hogs.take_all, release)


def is_alive(process):
    """Whether it is there; one that has ended but was not waited for is not."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
