"""Clients that are slow, send too much data, or do not send HTTP. Other clients must not notice them."""

import random
import unittest
from concurrent.futures import ThreadPoolExecutor

import jwt
import table
import wire
from load import Load
from poll import until
from service import OBTAIN, running

EMAILS = [f"client-{number}@example.com" for number in range(4)]
MANY = 20


def told(status, body):
    """Returns the status of a response, and the email in its token."""
    return status, jwt.claims(body["token"])["email"] if status == 200 else None


class Sockets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        slow = ThreadPoolExecutor(2 * MANY)
        cls.addClassCleanup(slow.shutdown)
        cls.service = running(cls.addClassCleanup, *EMAILS)
        cls.port = cls.service.port
        cls.idle = cls.service.sockets()
        # The slow clients need up to 30 s. They run during the other tests.
        head = wire.login(EMAILS[0], "X-Long: " + "x" * 100)
        body = wire.request(OBTAIN, " " * 60)[:-60]
        cls.heads = [slow.submit(wire.trickle, cls.port, b"", head) for _ in range(MANY)]
        cls.bodies = [slow.submit(wire.trickle, cls.port, body, b" " * 60) for _ in range(MANY)]

    def beside(self, fault, check):
        """Runs a check under load. All responses of the load must be correct and fast."""
        with Load(self.port, EMAILS) as load:
            load.steady()
            check()
            load.steady()
        self.assertLess(load.slowest(), 2)
        table.survived(self, fault, load)

    def test_slow_heads(self):
        def check():
            for head in self.heads:
                came, seconds = head.result()
                self.assertEqual(came, b"")
                self.assertTrue(29 < seconds < 35, seconds)

        self.beside(f"{MANY} requests whose headers arrive at one byte per second: closed after 30 s", check)
        until(lambda: self.service.sockets() <= self.idle, "the service has closed the sockets of all slow clients")

    def test_slow_bodies(self):
        def check():
            for body in self.bodies:
                came, seconds = body.result()
                detail = {"detail": "The request body did not arrive in time."}
                self.assertEqual(wire.answers(came), [(408, detail)])
                # The service keeps the connection open for a short time, so that the client can read the response.
                self.assertTrue(9 < seconds < 15, seconds)

        self.beside(f"{MANY} requests whose bodies arrive at one byte per second: 408 after 10 s", check)

    def test_huge_heads(self):
        def check():
            for size, status in [(15_000, b"200"), (17_000, b"431"), (1_000_000, b"431")] * MANY:
                sent = wire.login(EMAILS[0], "Connection: close", "X-Huge: " + "x" * size)
                came = wire.exchange(self.port, sent)
                self.assertTrue(came.startswith(b"HTTP/1.1 " + status), f"{size} bytes: {came}")

        self.beside("requests with headers of more than 16 KiB: 431", check)

    def test_pipelined(self):
        def check():
            for _ in range(MANY):
                sent, wanted = b"", []
                for email in EMAILS * 5:
                    sent += wire.login(email) + wire.request(OBTAIN, "{}") + wire.request("/nope", "", method="GET")
                    wanted += [(200, email), (400, None), (404, None)]
                sent += wire.login(EMAILS[0], "Connection: close")
                came = wire.answers(wire.exchange(self.port, sent))
                self.assertEqual([told(*answer) for answer in came], [*wanted, (200, EMAILS[0])])

        self.beside(f"{MANY} times 61 requests in one write: all responses are in order", check)

    def test_half_closed(self):
        def check():
            for email in EMAILS * 5:
                came = wire.answers(wire.exchange(self.port, wire.login(email), end=True))
                self.assertEqual([told(*answer) for answer in came], [(200, email)])

        self.beside("clients that close their sending side after the request: they receive the response", check)

    def test_garbage(self):
        rubbish = [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET\r\n\r\n",
            wire.login(EMAILS[0], "Content-Length: 7"),
            wire.request(OBTAIN, "zz", "Transfer-Encoding: chunked"),
        ]
        # The seed is constant, so that all runs send the same bytes.
        noise = random.Random(7)
        rubbish += [noise.randbytes(noise.randrange(1, 40_000)) + b"\r\n\r\n" for _ in range(10 * MANY)]

        def check():
            for sent in rubbish:
                came = wire.exchange(self.port, sent)
                self.assertTrue(came == b"" or came.startswith(b"HTTP/1.1 400 "), f"response {came} to {sent[:50]}")

        self.beside(f"{len(rubbish)} times bytes that are not valid HTTP/1.1: 400, or the connection is closed", check)
