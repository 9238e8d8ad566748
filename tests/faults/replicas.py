"""Two replicas run behind a proxy. The tests stop one, restart both in turn, and kill one."""

import time
import unittest

import table
from load import Load
from poll import until
from postgres import Postgres
from proxy import NO_RETRIES, RETRIES, Proxy
from service import running

EMAILS = [f"client-{number}@example.com" for number in range(8)]
# The time of ten health checks, in seconds.
STOP_DELAY = 2


class Replicas(unittest.TestCase):
    def setUp(self):
        postgres = Postgres()
        self.addCleanup(postgres.close)
        settings = {"database": postgres.url(), "SIGNET_STOP_DELAY": str(STOP_DELAY)}
        self.replicas = [running(self.addCleanup, *EMAILS, **settings), running(self.addCleanup, **settings)]

    def proxy(self, retries):
        proxy = Proxy(self.replicas, retries)
        self.addCleanup(proxy.close)
        proxy.until_ready()
        return proxy

    def stop(self, replica):
        began = time.monotonic()
        self.assertEqual(replica.stop(), 0)
        seconds = time.monotonic() - began
        self.assertTrue(STOP_DELAY <= seconds < STOP_DELAY + 2, seconds)

    def test_one_is_stopped(self):
        proxy = self.proxy(NO_RETRIES)
        with Load(proxy.port, EMAILS) as load:
            load.steady()
            self.stop(self.replicas[0])
            load.steady()
        self.assertLess(load.slowest(), 2)
        table.survived(self, "one of two replicas is stopped (SIGTERM)", load, beside=" through HAProxy")

    def test_both_are_restarted_in_turn(self):
        proxy = self.proxy(NO_RETRIES)
        with Load(proxy.port, EMAILS) as load:
            load.steady()
            for replica in self.replicas:
                self.stop(replica)
                replica.start()
                proxy.until_ready()
                load.steady()
        self.assertLess(load.slowest(), 2)
        table.survived(self, "two replicas are restarted in turn", load, beside=" through HAProxy")

    def test_one_is_killed(self):
        proxy = self.proxy(RETRIES)
        with Load(proxy.port, EMAILS) as load:
            load.steady()
            # Most requests finish before a signal arrives. The freeze makes sure that requests are in flight at the kill.
            self.replicas[0].freeze()
            until(lambda: proxy.under_way(0) >= len(EMAILS) / 2, "half of the clients wait for the frozen replica")
            self.replicas[0].kill()
            killed = time.monotonic()
            load.steady()
            self.replicas[0].start()
            proxy.until_ready()
            load.steady()
        retries = proxy.count("wretr")
        self.assertGreater(retries, 0, "no request was in flight")
        self.assertLess(load.slowest(), 2)
        beside = f" through HAProxy, which retried {retries} requests"
        table.survived(self, "one of two replicas is killed", load, recovery=load.recovery(killed), beside=beside)
