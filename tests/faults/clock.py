"""Sets the clock back and forward by an hour while the service runs."""

import glob
import time
import unittest

import jwt
import table
from load import EXPIRED, Load
from service import WAIT, running

EMAILS = [f"client-{number}@example.com" for number in range(6)]
OURS = "ours@example.com"
HOUR = 3600
ENDED = (400, {"non_field_errors": ["Error decoding signature."]})
OUT_OF_TIME = (400, {"non_field_errors": ["Signature has expired."]})


def library():
    """Returns the path of libfaketime, or None. The preloaded library changes the time of day that a process reads."""
    return next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


class Clock(unittest.TestCase):
    def setUp(self):
        self.service = running(self.addCleanup, *EMAILS, OURS)
        self.service.kill()
        # The commands of the test use the same clock as the service.
        self.service.environment |= {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.service.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            # A change of the system time does not change the monotonic clock.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.step(0)
        self.service.start()

    def step(self, seconds):
        """Sets the offset of the clock, in seconds. The rename makes the change atomic."""
        new = self.service.folder / "clock.new"
        new.write_text(f"{seconds:+d}s\n")
        new.rename(self.service.folder / "clock")
        self.offset = seconds

    def obtain(self):
        """Logs in at the current time of the service, and returns the token."""
        status, body = self.service.obtain(OURS)
        self.assertEqual(status, 200)
        return body["token"]

    def refresh(self, token):
        """Asserts that a token can be refreshed, and that the new token expires in an hour by the current clock."""
        status, body = self.service.refresh(token)
        self.assertEqual(status, 200, body)
        before, after = jwt.claims(token), jwt.claims(body["token"])
        self.assertEqual(after["orig_iat"], before["orig_iat"])
        self.assertAlmostEqual(after["exp"], time.time() + self.offset + HOUR, delta=5)

    def revoke(self):
        revoked = self.service.command("user", "revoke-tokens", OURS)
        self.assertEqual(revoked.returncode, 0, revoked)

    def under_load(self, fault, check):
        """Runs a check that changes the clock under load. The change may expire tokens of the load. All other responses must be
        correct and fast."""
        with Load(self.service.port, EMAILS, clock_steps=True) as load:
            load.steady()
            check(load)
            load.steady()
        self.assertLess(load.slowest(), WAIT + 2)
        table.survived(self, fault, load, [EXPIRED])

    def test_backwards(self):
        def check(load):
            early = self.obtain()
            self.step(-HOUR)
            load.steady()
            # By the new clock, this token was issued one hour in the future.
            self.refresh(early)
            late = self.obtain()
            self.assertAlmostEqual(jwt.claims(late)["orig_iat"], time.time() - HOUR, delta=5)
            self.refresh(late)
            self.step(0)

        self.under_load("the clock is set back by an hour, and corrected", check)

    def test_revoked_after_a_step_back(self):
        def check(load):
            early = self.obtain()
            self.step(-HOUR)
            self.revoke()
            self.assertEqual(self.service.refresh(early), ENDED)
            self.refresh(self.obtain())
            self.step(0)
            self.assertEqual(self.service.refresh(early), ENDED)

        self.under_load("the clock is set back, and the tokens of an account are revoked", check)

    def test_revoked_after_a_step_back_and_a_login(self):
        def check(load):
            early = self.obtain()
            self.step(-HOUR)
            late = self.obtain()
            self.revoke()
            self.assertEqual([self.service.refresh(token) for token in (late, early)], [ENDED] * 2)
            self.refresh(self.obtain())
            self.step(0)
            self.assertEqual([self.service.refresh(token) for token in (late, early)], [ENDED] * 2)

        self.under_load("the clock is set back, an account logs in, and its tokens are revoked", check)

    def test_forwards(self):
        def check(load):
            early = self.obtain()
            self.refresh(early)
            # One minute more than the lifetime of a token.
            self.step(HOUR + 60)
            self.assertEqual(self.service.refresh(early), OUT_OF_TIME)
            late = self.obtain()
            self.refresh(late)
            load.steady()
            self.step(0)
            # By the corrected clock, both tokens are valid.
            self.refresh(early)
            self.refresh(late)

        self.under_load("the clock is set forward by more than an hour, and corrected", check)
