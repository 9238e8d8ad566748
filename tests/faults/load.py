"""The load: clients that log in and refresh, and check and record each response."""

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass

import jwt
from poll import until
from service import OBTAIN, PASSWORD, REFRESH

# Kinds of responses. Other kinds are "reset", "timeout", "refused", and status codes such as "500".
OK, UNAVAILABLE, EXPIRED, WRONG = "ok", "503", "expired", "wrong"
UNAVAILABLE_BODY = {"detail": "Service temporarily unavailable, try again later."}
EXPIRED_BODY = {"non_field_errors": ["Signature has expired."]}
# Timeout of a client in seconds. It is longer than any response may take, so a timeout means that the service hangs.
PATIENCE = 15


@dataclass(frozen=True)
class Answer:
    path: str
    kind: str
    started: float
    ended: float
    said: str


class Client(threading.Thread):
    """Logs in, refreshes several times, and repeats this. Uses one connection, or a new connection for each request (`fresh`)."""

    def __init__(self, load, port, email, fresh):
        super().__init__(daemon=True)
        self.load, self.email = load, email
        self.headers = {"Content-Type": "application/json"} | ({"Connection": "close"} if fresh else {})
        self.connection = http.client.HTTPConnection(load.host, port, timeout=PATIENCE)
        self.token, self.turn, self.user_id = None, 0, None
        # The number of responses, and the number of the last response that was not correct.
        self.heard, self.broken = 0, 0

    def run(self):
        while not self.load.stopping.is_set():
            answer = self.ask()
            self.load.answers.append(answer)
            self.heard += 1
            if answer.kind != OK:
                self.broken = self.heard
                # Real clients also pause after an error. Without the pause, a dead service would cause thousands of requests.
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
            return UNAVAILABLE if told else "503 without a Retry-After header or the expected body"
        if answer.status == 400 and body == EXPIRED_BODY and self.load.clock_steps and path == REFRESH:
            self.token = None
            return EXPIRED
        # The credentials and the token are valid, so the service must not reject them.
        return WRONG if answer.status < 500 else str(answer.status)

    def is_mine(self, path, text):
        """Returns whether the response contains a valid token of this account. Stores the token for the next refresh."""
        try:
            body = json.loads(text)
            found = jwt.claims(body["token"])
            user_id, login = found["user_id"], found["orig_iat"]
            mine = found["email"] == found["username"] == self.email and self.user_id in (None, user_id)
            # A refresh does not change the time of the login.
            mine &= path == OBTAIN or login == jwt.claims(self.token)["orig_iat"]
        except (ValueError, KeyError, TypeError):
            return False
        self.token, self.user_id = body["token"], user_id
        return mine and list(body) == ["type", "token", "expires_in"]


class Load:
    """Runs a client for each account, for the duration of a `with` block. Each client refreshes `refreshes` times between two logins. With
    `clock_steps`, a refresh may report an expired token, and the client then logs in."""

    def __init__(self, port, emails, clock_steps=False, refreshes=3, host="127.0.0.1"):
        self.host = host
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
        """Waits until each client has received `times` more responses of any kind."""
        before = {client: client.heard for client in self.clients}
        self.wait(times, lambda client: client.heard - before[client], "responses")

    def steady(self, times=100):
        """Waits until each client has received `times` more correct responses in a row."""
        # The request in flight does not count.
        before = {client: client.heard + 1 for client in self.clients}
        self.wait(times, lambda client: client.heard - max(before[client], client.broken), "correct responses in a row")

    def wait(self, times, count, what):
        def told():
            return f"{times} {what} for each client; the last: {self.answers[-3:]}"

        until(lambda: all(count(client) >= times for client in self.clients), told, 60)

    def errors(self):
        """Returns the number of responses and connection errors of each kind, without the correct responses."""
        return Counter(answer.kind for answer in self.answers if answer.kind != OK)

    def slowest(self):
        return max(answer.ended - answer.started for answer in self.answers)

    def recovery(self, since):
        """Returns the seconds from `since` to the first correct response after the last error."""
        failed = [answer.ended for answer in self.answers if answer.kind != OK]
        last = max([since, *failed])
        return min(answer.ended for answer in self.answers if answer.kind == OK and answer.ended >= last) - since
