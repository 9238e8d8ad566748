"""A load of logins and refreshes: clients that check every answer, and know how each went."""

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass

import jwt
from poll import until
from service import OBTAIN, PASSWORD, REFRESH

# Kinds of answers. Any other is named as it came: "reset", "timeout", "refused", "500".
OK, UNAVAILABLE, EXPIRED, WRONG = "ok", "503", "expired", "wrong"
UNAVAILABLE_BODY = {"detail": "Service temporarily unavailable, try again later."}
EXPIRED_BODY = {"non_field_errors": ["Signature has expired."]}
# Longer than any answer may take: what takes longer is a hang.
PATIENCE = 15


@dataclass(frozen=True)
class Answer:
    path: str
    kind: str
    started: float
    ended: float
    said: str


class Client(threading.Thread):
    """Logs in, refreshes some times, and so on; over one connection, or over a fresh one each time."""

    def __init__(self, load, port, email, fresh):
        super().__init__(daemon=True)
        self.load, self.email = load, email
        self.headers = {"Content-Type": "application/json"} | ({"Connection": "close"} if fresh else {})
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.token, self.turn, self.user_id = None, 0, None
        # How many answers there were, and the number of the last that was not right.
        self.heard, self.broken = 0, 0

    def run(self):
        while not self.load.stopping.is_set():
            answer = self.ask()
            self.load.answers.append(answer)
            self.heard += 1
            if answer.kind != OK:
                self.broken = self.heard
                # As a client would; a dead service would else be asked thousands of times.
                self.load.stopping.wait(0.02)
        self.connection.close()

    def ask(self):
        if self.token is None or self.turn % (self.load.refreshes + 1) == 0:
            path, body = OBTAIN, {"email": self.email, "password": PASSWORD}
        else:
            path, body = REFRESH, {"token": self.token}
        self.turn += 1
        started = time.monotonic()
        try:
            self.connection.request("POST", path, json.dumps(body), self.headers)
            answer = self.connection.getresponse()
            text = answer.read().decode()
            kind, said = self.judge(path, answer, text), f"{answer.status} {text}"
        except TimeoutError as error:
            kind, said = "timeout", repr(error)
        except ConnectionRefusedError as error:
            kind, said = "refused", repr(error)
        except (OSError, http.client.HTTPException) as error:
            kind, said = "reset", repr(error)
        if kind in ("timeout", "refused", "reset"):
            self.connection.close()
        return Answer(path, kind, started, time.monotonic(), said)

    def judge(self, path, answer, text):
        if answer.status == 200:
            return OK if self.is_mine(path, text) else WRONG
        try:
            body = json.loads(text)
        except ValueError:
            return f"{answer.status} without JSON"
        if answer.status == 503:
            told = answer.headers.get("Retry-After", "").isdigit() and body == UNAVAILABLE_BODY
            return UNAVAILABLE if told else "503 that does not say when to try again"
        if answer.status == 400 and body == EXPIRED_BODY and self.load.clock_steps and path == REFRESH:
            self.token = None
            return EXPIRED
        # The credentials are right, and the token is good: to refuse them is wrong.
        return WRONG if answer.status < 500 else str(answer.status)

    def is_mine(self, path, text):
        """Whether a token is this account's; then it is the one to be refreshed next."""
        try:
            body = json.loads(text)
            found = jwt.claims(body["token"])
            user_id, login = found["user_id"], found["orig_iat"]
            mine = found["email"] == found["username"] == self.email and self.user_id in (None, user_id)
            # A refresh does not prolong a login.
            mine &= path == OBTAIN or login == jwt.claims(self.token)["orig_iat"]
        except (ValueError, KeyError, TypeError):
            return False
        self.token, self.user_id = body["token"], user_id
        return mine and list(body) == ["type", "token", "expires_in"]


class Load:
    """A client for each of these accounts, from the start of a `with` to its end. Between two logins it refreshes so often. With
    `clock_steps`, a token may have expired: that is a right answer, after which its client logs in."""

    def __init__(self, port, emails, clock_steps=False, refreshes=3):
        self.clock_steps = clock_steps
        self.refreshes = refreshes
        self.stopping = threading.Event()
        self.answers = []
        self.clients = [Client(self, port, email, fresh=number % 2) for number, email in enumerate(emails)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for client in self.clients:
            client.join()

    def hear(self, times=3):
        """Waits until every client has had so many more answers, of whatever kind."""
        before = {client: client.heard for client in self.clients}
        self.wait(times, lambda client: client.heard - before[client], "answers")

    def steady(self, times=100):
        """Waits until every client has had so many more right answers, and no other among them."""
        # What is under way now counts for neither.
        before = {client: client.heard + 1 for client in self.clients}
        self.wait(times, lambda client: client.heard - max(before[client], client.broken), "right answers in a row")

    def wait(self, times, count, what):
        def told():
            return f"{times} {what} for each client; the last: {self.answers[-3:]}"

        until(lambda: all(count(client) >= times for client in self.clients), told, 60)

    def errors(self):
        """How often something else came than a right answer, by kind."""
        return Counter(answer.kind for answer in self.answers if answer.kind != OK)

    def slowest(self):
        return max(answer.ended - answer.started for answer in self.answers)

    def recovery(self, since):
        """Seconds from then to the first of the right answers that no error followed."""
        failed = [answer.ended for answer in self.answers if answer.kind != OK]
        last = max([since, *failed])
        return min(answer.ended for answer in self.answers if answer.kind == OK and answer.ended >= last) - since
