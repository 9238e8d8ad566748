"""The network between the service and PostgreSQL drops connections, or is slow."""

import statistics
import time
import unittest

import table
from load import UNAVAILABLE, Load
from postgres import Postgres
from relay import Relay
from service import OBTAIN, WAIT, running

EMAILS = [f"client-{number}@example.com" for number in range(12)]
# Latency in each direction, in seconds.
SLOW = 0.05


class Network(unittest.TestCase):
    def serve(self, **settings):
        postgres = Postgres()
        self.addCleanup(postgres.close)
        self.relay = Relay(postgres.port)
        self.addCleanup(self.relay.close)
        database = f"postgres://{postgres.user}@127.0.0.1:{self.relay.port}/postgres"
        self.service = running(self.addCleanup, *EMAILS, database=database, **settings)

    def test_connections_are_forgotten(self):
        self.serve()
        with Load(self.service.port, EMAILS) as everybody:
            everybody.steady()
        with Load(self.service.port, EMAILS[:1]) as load:
            load.steady()
            self.relay.forget()
            forgotten = time.monotonic()
            load.hear(20)
            load.steady()
        self.assertLessEqual(load.errors()[UNAVAILABLE], 1)
        self.assertLess(load.slowest(), WAIT + 0.5)
        table.survived(
            self,
            "a firewall silently drops all open connections to PostgreSQL, and allows new connections",
            load,
            [UNAVAILABLE],
            recovery=load.recovery(forgotten),
        )

    def test_slow(self):
        self.serve(SIGNET_DATABASE_CONNECTIONS="2", SIGNET_DATABASE_WAIT="5")
        # These clients log in before the network becomes slow.
        with Load(self.service.port, EMAILS[1:], refreshes=10**6) as refreshing:
            refreshing.steady(10)
            self.relay.delay = SLOW
            with Load(self.service.port, EMAILS[:1], refreshes=0) as logging_in:
                logging_in.steady(10)
            self.relay.delay = 0
        self.assertEqual(refreshing.errors().total(), 0)
        took = [answer.ended - answer.started for answer in logging_in.answers if answer.path == OBTAIN]
        median = statistics.median(took)
        self.assertLess(median, 1.5)
        delay = f"the network to PostgreSQL has a latency of {SLOW * 1000:.0f} ms in each direction"
        fault = f"{delay}, and the service has 2 connections: the median login takes {median:.1f} s"
        table.survived(self, fault, logging_in, beside=f" that only logs in, and {len(refreshing.clients)} that refresh")
