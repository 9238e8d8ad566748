"""Changes of accounts during a fault. Only a command with exit code 0 has acknowledged its change."""

import time

from adding import Adding
from service import PASSWORD

NEW_PASSWORD = "another horse"


def add_accounts(leader, prefix, count):
    """Copies an account `count` times. The copies have the same password."""
    columns = "is_active, created, password_changed, tokens_valid_after, password"
    email = f"'{prefix}-' || number || '@example.com'"
    leader.sql(
        f"INSERT INTO users (id, email, email_key, {columns}) "
        f"SELECT (SELECT max(id) FROM users) + number, {email}, {email}, {columns} "
        f"FROM users, generate_series(1, {count}) AS number WHERE email = 'client-0@example.com'",
        "signet",
    )


class Passwords(Adding):
    """Changes the password of one account after the other. A command that failed may have changed the password."""

    def __init__(self, service, prefix):
        super().__init__(service, prefix)
        self.changed, self.wrong = [], set()

    def change(self, email):
        changed = self.service.command("user", "set-password", email, "--password-stdin", input=NEW_PASSWORD)
        self.changed.append(email)
        # The old password is invalid from the acknowledgement on.
        if changed.returncode == 0 and self.service.obtain(email)[0] == 200:
            self.wrong.add(email)
        return changed

    def missing(self):
        acknowledged = set(self.acknowledged)
        return self.wrong | {email for email in self.changed if not self.is_right(email, email in acknowledged)}

    def is_right(self, email, acknowledged):
        """Returns whether exactly one password works, and whether this is the new password after an acknowledgement."""
        new, old = (self.service.obtain(email, password)[0] for password in (NEW_PASSWORD, PASSWORD))
        return (new, old) == (200, 400) or not acknowledged and (new, old) == (400, 200)


class Revocations(Adding):
    """Logs in to one account after the other, and revokes the token."""

    def __init__(self, service, prefix):
        super().__init__(service, prefix)
        self.tokens, self.wrong = {}, set()

    def change(self, email):
        while not self.stopping.is_set():
            status, body = self.service.obtain(email)
            if status == 200:
                self.tokens[email] = body["token"]
                break
            time.sleep(0.05)
        revoked = self.service.command("user", "revoke-tokens", email)
        if revoked.returncode == 0 and email in self.tokens and self.service.refresh(self.tokens[email])[0] == 200:
            self.wrong.add(email)
        return revoked

    def missing(self):
        """Returns the accounts whose old tokens can be refreshed after an acknowledged revocation."""
        tokens = {email: self.tokens[email] for email in self.acknowledged if email in self.tokens}
        return self.wrong | {email for email, token in tokens.items() if self.service.refresh(token)[0] != 400}
