"""How what a request costs grows with the accounts there are: 1 and 100,000, or as many as the argument says.

The accounts that are asked for lie all over the table. Hashing is made as cheap as it can be, so that what is left of a login is seen.
"""

import base64
import hashlib
import hmac
import json
import sqlite3
import sys
import time

from contenders import EMAIL, PASSWORD, SECRET, OnSqlite
from load import SERVER, in_turn, wrk

MANY = 100_000
ASKED = 2_000


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(user_id, email):
    """A token of this account, as the service would issue it now."""
    now = int(time.time())
    claims = {"user_id": user_id, "username": email, "exp": now + 3600, "email": email, "orig_iat": now}
    message = part(b'{"typ":"JWT","alg":"HS256"}') + b"." + part(json.dumps(claims).encode())
    return (message + b"." + part(hmac.digest(SECRET.encode(), message, hashlib.sha256))).decode()


class Crowd(OnSqlite):
    """A service with so many accounts, of the same password."""

    gives_tokens = False

    def __init__(self, accounts):
        self.accounts = accounts
        super().__init__(SERVER)

    def prepare(self):
        self.environment |= {"SIGNET_ARGON2_MEMORY_KIB": "8", "SIGNET_ARGON2_ITERATIONS": "1"}
        super().prepare()
        database = sqlite3.connect(self.folder / "data/signet.db")
        columns = [row[1] for row in database.execute("PRAGMA table_info(users)")]
        email = "'user' || number || '@example.com'"
        values = ", ".join({"id": "number", "email": email, "email_key": email}.get(column, column) for column in columns)
        numbers = "WITH RECURSIVE numbers(number) AS (SELECT 2 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?)"
        if self.accounts > 1:
            database.execute(f"{numbers} INSERT INTO users SELECT {values} FROM numbers, users WHERE id = 1", [self.accounts])
        database.commit()
        database.close()

    def asked(self):
        """Ids and e-mails of those who are asked for, from all over."""
        step = max(1, self.accounts // ASKED)
        ids = [1 + (number * step * 7919) % self.accounts for number in range(ASKED)]
        return [(id, EMAIL if id == 1 else f"user{id}@example.com") for id in ids]


def growth(many=MANY):
    """What a refresh and the rest of a login cost with so many accounts, in times of what they cost with one."""
    crowds = [Crowd(1), Crowd(many)]
    try:
        measures = {}
        for crowd in crowds:
            refreshes = [{"token": token(*account)} for account in crowd.asked()]
            logins = [{"email": email, "password": PASSWORD} for _, email in crowd.asked()]
            measures["refresh", crowd.accounts] = lambda crowd=crowd, bodies=refreshes: wrk(crowd, "refresh", bodies)
            measures["obtain", crowd.accounts] = lambda crowd=crowd, bodies=logins: wrk(crowd, "obtain", bodies)
        figures = in_turn(measures)
    finally:
        for crowd in crowds:
            crowd.close()
    return {operation: figures[operation, many]["cost"] / figures[operation, 1]["cost"] for operation in ["refresh", "obtain"]}


if __name__ == "__main__":
    many = int(sys.argv[1])
    for operation, times in growth(many).items():
        print(f"{operation}: with {many:,} accounts {times:.2f} times what it costs with one")
