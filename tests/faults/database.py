"""PostgreSQL is stopped, restarted, killed or frozen, or rejects new connections."""

import signal
import time
import unittest

import table
from adding import Adding
from hogs import Hogs
from load import UNAVAILABLE, Load
from poll import until
from postgres import Postgres
from service import PASSWORD, WAIT, running

# More clients than the 8 connections of the service to the database.
EMAILS = [f"client-{number}@example.com" for number in range(12)]


class Database(unittest.TestCase):
    def setUp(self):
        # As in production, PostgreSQL syncs each commit to the disk. `ready` reads the time of the log lines.
        self.postgres = Postgres(fsync="on", max_connections=20, log_line_prefix="%n")
        self.addCleanup(self.postgres.close)
        self.service = running(self.addCleanup, *EMAILS, database=self.postgres.url())

    def survive(self, fault, fail, repair, unavailable=True):
        """Breaks and repairs the database under load, while accounts are added. `repair` returns the time of the repair."""
        with Load(self.service.port, EMAILS) as load, Adding(self.service) as adding:
            load.steady()
            adding.more(1)
            before = len(load.answers)
            fail()
            # Afterwards, each client has received responses to requests that it sent after the fault.
            load.hear(3)
            if unavailable:
                self.assertIn(UNAVAILABLE, [answer.kind for answer in load.answers[before:]])
                # The proxy must stop sending requests, but the supervisor must not restart the service.
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
        """Returns the monotonic time at which the server last reported that it is ready."""
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

        # The restart may be so fast that no request fails.
        self.survive("PostgreSQL is restarted", lambda: None, restart, unavailable=False)

    def test_killed(self):
        def kill():
            processes = self.postgres.processes()
            self.postgres.signal(signal.SIGKILL)
            until(lambda: not any(map(is_alive, processes)), "all processes of PostgreSQL have exited")

        self.survive("all processes of PostgreSQL are killed", kill, self.start)

    def test_frozen(self):
        def thaw():
            self.postgres.signal(signal.SIGCONT)
            return time.monotonic()

        def freeze():
            self.postgres.signal(signal.SIGSTOP)

        self.survive("PostgreSQL is frozen (SIGSTOP) and continued (SIGCONT)", freeze, thaw)

    def test_standby(self):
        """After a failover, the address may lead to the old primary. A standby may not have the newest revocations."""
        def demote():
            self.postgres.stop()
            (self.postgres.data / "standby.signal").touch()
            self.postgres.start()
            doctor = self.service.command("doctor")
            self.assertEqual(doctor.returncode, 1)
            self.assertIn("is a standby, which rejects all changes", doctor.stdout)
            create = ["--log", "info", "user", "create", "standby@example.com", "--password-stdin"]
            created = self.service.command(*create, input=PASSWORD)
            self.assertEqual(created.returncode, 1)
            self.assertIn("the server is a standby", created.stderr)
            # Only the command reports the error, and the pool does not log each attempt.
            self.assertNotIn("after_connect", created.stderr)

        def promote():
            self.postgres.run("pg_ctl", "-D", self.postgres.data, "-w", "promote")
            return time.monotonic()

        self.survive("PostgreSQL is a standby and is promoted", demote, promote)

    def test_out_of_connections(self):
        hogs = Hogs(self.postgres)
        self.addCleanup(hogs.release)

        def release():
            hogs.release()
            return time.monotonic()

        self.survive("PostgreSQL is out of connections", hogs.take_all, release)


def is_alive(process):
    """Returns whether a process runs. A zombie does not run."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
