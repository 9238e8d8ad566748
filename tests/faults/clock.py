"""The clock is stepped by an hour, backwards and forwards, while the service runs."""

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
    """Preloaded, it tells a process another time than it is."""
    return next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


class Clock(unittest.TestCase):
    def setUp(self):
        self.service = running(self.addCleanup, *EMAILS, OURS)
        self.service.kill()
        # For the commands, too, from here on.
        self.service.environment |= {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.service.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            # Only the time of day steps; a clock for durations does not.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.step(0)
        self.service.start()

    def step(self, seconds):
        """Sets the clock off by so much, all at once."""
        new = self.service.folder / "clock.new"
        new.write_text(f"{seconds:+d}s\n")
        new.rename(self.service.folder / "clock")
        self.offset = seconds

    def obtain(self):
        """Logs in, by the clock of now; returns the token, which refreshes."""
        status, body = self.service.obtain(OURS)
        self.assertEqual(status, 200)
        return body["token"]

    def refresh(self, token):
        """A token that is good refreshes, to one that expires in an hour by the clock of now."""
        status, body = self.service.refresh(token)
        self.assertEqual(status, 200, body)
        before, after = jwt.claims(token), jwt.claims(body["token"])
        self.assertEqual(after["orig_iat"], before["orig_iat"])
        self.assertAlmostEqual(after["exp"], time.time() + self.offset + HOUR, delta=5)

    def revoke(self):
        revoked = self.service.command("user", "revoke-tokens", OURS)
        self.assertEqual(revoked.returncode, 0, revoked)

    def under_load(self, fault, check):
        """Runs a check, which steps the clock, while others log in and refresh. A token of theirs may expire by a
        step; nobody is told anything else that is not right, and nobody waits."""
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
            # By the clock, they will be issued in an hour.
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

        self.under_load("tokens are revoked after the clock was set back", check)

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

        self.under_load("tokens are revoked after the clock was set back and a login", check)

    def test_forwards(self):
        def check(load):
            early = self.obtain()
            self.refresh(early)
            # A minute more than a token is good for.
            self.step(HOUR + 60)
            self.assertEqual(self.service.refresh(early), OUT_OF_TIME)
            late = self.obtain()
            self.refresh(late)
            load.steady()
            self.step(0)
            # What has not expired, after all, is good again.
            self.refresh(early)
            self.refresh(late)

        self.under_load("the clock is set forward by more than an hour, and corrected", check)
