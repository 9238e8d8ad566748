"""Tests the recipes of docs/guides/verify-tokens.md with the tokens of corpus.json.

The recipes are the code blocks of the page whose first line is a comment with a file name. Each recipe runs as a server, and gets a request
for each case of the corpus. The table of the page has the answers: `main.py update` writes the table, and `main.py` compares it.

At the end, a fault is planted in one recipe at a time, and the checks must find the fault.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from findings import line  # noqa: E402

PAGE = HERE.parent.parent / "docs/guides/verify-tokens.md"
GENERATED = HERE / "generated"
CORPUS = json.loads((HERE / "corpus.json").read_text())
TABLE = re.compile(r"(?<=<!-- answers -->\n).*?(?=<!-- end of answers -->)", re.S)
BLOCK = re.compile(r"^```\w+\n(?:#|//) (?P<name>[\w.-]+)\n.*?^```$", re.M | re.S)
SECRET, PREVIOUS = "5ecret" * 8, "previous" * 5
# Gateways must encode some characters of this email.
EMAIL = "o'neil+%41@exämple.com"
# The identity headers of a client must not reach the application.
FORGED = {"SignetUserId": "999", "signetuseremail": "forged@example.com"}


@dataclass(frozen=True, eq=False)
class Recipe:
    """A verifier, and the command that starts it. Verifiers that ask the service know about revocations."""

    name: str
    command: list[str]
    asks: bool = False
    # Whether the recipe is a gateway in front of an application.
    is_gateway: bool = False


def gateway(name: str, folder: str, *, asks: bool) -> Recipe:
    return Recipe(name, ["gateways/start", folder], asks=asks, is_gateway=True)


TARGET = os.environ.get("CARGO_TARGET_DIR", str(HERE.parent.parent / "target"))
SERVICE = Recipe("Signet", [], asks=True)
RECIPES = [
    Recipe("PyJWT", [".venv/bin/python", "hosts/python_pyjwt.py"]),
    Recipe("DRF", [".venv/bin/python", "hosts/python_drf.py"]),
    Recipe("Simple JWT", [".venv/bin/python", "hosts/python_simplejwt.py"]),
    Recipe("FastAPI", [".venv/bin/python", "hosts/python_fastapi.py"]),
    Recipe("jose", ["node", "hosts/jose.mjs"]),
    Recipe("Express", ["node", "hosts/express.mjs"]),
    Recipe("Fastify", ["node", "hosts/fastify.mjs"]),
    Recipe("Go", ["generated/verify-go"]),
    Recipe("Rust", [f"{TARGET}/debug/signet-verify-axum"]),
    Recipe("Ruby", ["ruby", "hosts/ruby_jwt.rb"]),
    gateway("HAProxy", "haproxy", asks=False),
    gateway("nginx with njs", "nginx-njs", asks=False),
    gateway("nginx `auth_request`", "nginx-auth-request", asks=True),
    gateway("Caddy", "caddy", asks=True),
]


@dataclass(frozen=True)
class Answer:
    status: int
    body: str
    retry_after: str | None

    @property
    def is_accepted(self) -> bool:
        return self.status in (200, 204)


def main() -> None:
    extract()
    build()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        service = running.enter_context(started_service(Path(folder)))
        tokens = service.mint()
        application = running.enter_context(started_application())
        recipes = {
            recipe: running.enter_context(started(recipe, service, application))
            for recipe in RECIPES
        }
        addresses = {SERVICE: service.admin, **recipes}
        answers = {recipe: {} for recipe in addresses}
        for case in CORPUS:
            if case["name"] == "last-second":
                tokens = service.mint_at_the_start_of_a_second()
            with ThreadPoolExecutor() as pool:
                asked = {
                    recipe: pool.submit(ask, recipe, address, case, tokens)
                    for recipe, address in addresses.items()
                }
            for recipe, answer in asked.items():
                answers[recipe][case["name"]] = answer.result()
        passed = [report(recipe, found(recipe, answers[recipe])) for recipe in addresses]
        passed.append(compare_table(answers))
        with service.without_database():
            passed += [
                report_outage(recipe, ask(recipe, address, CORPUS[0], tokens))
                for recipe, address in addresses.items()
                if recipe.asks
            ]
        passed += [plant(fault, service, application, tokens) for fault in FAULTS]
    sys.exit(not all(passed))


def extract() -> None:
    """Writes the code blocks of the page into files."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    for block in BLOCK.finditer(PAGE.read_text()):
        text = block[0].split("\n", 1)[1].removesuffix("```")
        (GENERATED / block["name"]).write_text(text)


def build() -> None:
    (HERE / "go/auth").mkdir(exist_ok=True)
    shutil.copy(GENERATED / "auth.go", HERE / "go/auth")
    offline = {**os.environ, "GOPROXY": "off"}
    subprocess.run(["go", "build", "-o", "../generated/verify-go", "."], cwd=HERE / "go", env=offline, check=True)
    cargo = ["cargo", "build", "--locked", "--quiet", "--manifest-path", "rust/Cargo.toml"]
    subprocess.run(cargo, cwd=HERE, env={**os.environ, "CARGO_TARGET_DIR": TARGET}, check=True)


class Service:
    """A running Signet with two accounts. The tokens of the second account are revoked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.admin = f"127.0.0.1:{free_port()}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "SIGNET_CONFIG": "/dev/null",
            "SIGNET_DATABASE_URL": f"sqlite:{folder}/signet.db",
            "SIGNET_JWT_SECRET": SECRET,
            "SIGNET_JWT_PREVIOUS_SECRETS": PREVIOUS,
            "SIGNET_ARGON2_MEMORY_KIB": "32",
            "SIGNET_ARGON2_ITERATIONS": "1",
            "SIGNET_LOG": "warn",
            "SIGNET_LISTEN": "127.0.0.1:0",
            "SIGNET_ADMIN_LISTEN": self.admin,
        }
        self.secrets = folder / "jwt-secrets"
        self.secrets.write_text(f"{SECRET}\n{PREVIOUS}\n")
        for number in (1, 2):
            self.run("user", "create", EMAIL.replace("@", f"{number}@"), "--password-stdin")

    def run(self, *command: str) -> None:
        signet = [os.environ["SIGNET"], *command]
        subprocess.run(signet, env=self.environment, input=b"correct horse\n", stdout=subprocess.DEVNULL, check=True)

    def mint(self, now: int | None = None) -> dict[str, str]:
        now = str(now or int(time.time()))
        mint = [os.environ["MINT"], now, SECRET, PREVIOUS, EMAIL]
        tokens = json.loads(subprocess.run(mint, capture_output=True, check=True).stdout)
        self.run("user", "revoke-tokens", "--id", "2")
        return tokens

    def mint_at_the_start_of_a_second(self) -> dict[str, str]:
        """Mints tokens of the current second, so that the expired token has expired one second ago."""
        now = int(time.time()) + 2
        tokens = self.mint(now)
        time.sleep(max(0, now + 0.1 - time.time()))
        return tokens

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Moves the file of the database away. The service then answers with the status 503."""
        file = self.folder / "signet.db"
        moved = file.rename(self.folder / "moved.db")
        try:
            yield
        finally:
            moved.rename(file)


@contextmanager
def started_service(folder: Path) -> Iterator[Service]:
    service = Service(folder)
    with process([os.environ["SIGNET"], "serve"], service.environment, service.admin):
        yield service


@contextmanager
def started_application() -> Iterator[str]:
    """Starts an application behind the gateways. The application returns the headers of a request."""

    class Application(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(headers)))
            self.end_headers()
            self.wfile.write(headers)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def started(recipe: Recipe, service: Service, application: str) -> Iterator[str]:
    """Starts a recipe, and returns its address."""
    address = f"127.0.0.1:{free_port()}"
    command = [str(HERE / recipe.command[0]), *recipe.command[1:]] if "/" in recipe.command[0] else recipe.command
    environment = {
        **os.environ,
        "PORT": address.split(":")[1],
        "JWT_SECRETS_FILE": str(service.secrets),
        "JWT_SECRET": SECRET,
        "JWT_PREVIOUS_SECRET": PREVIOUS,
    }
    with tempfile.TemporaryDirectory() as folder:
        if recipe.is_gateway:
            # nginx started by root reads its files as another user.
            os.chmod(folder, 0o755)
            replaced = {
                "127.0.0.1:3000": application,
                "127.0.0.1:8080": address,
                "127.0.0.1:9000": service.admin,
                "/etc/signet/jwt-secrets": str(service.secrets),
            }
            for file in GENERATED.iterdir():
                if file.suffix in (".conf", ".cfg", ".js") or file.name == "Caddyfile":
                    text = file.read_text()
                    for old, new in replaced.items():
                        text = text.replace(old, new)
                    Path(folder, file.name).write_text(text)
            command = [*command, folder]
        with process(command, environment, address):
            yield address


@contextmanager
def process(command: list[str], environment: dict[str, str], address: str) -> Iterator[None]:
    """Starts a server, and waits until it accepts connections."""
    server = subprocess.Popen(
        command, cwd=HERE, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0
    )
    log: list[bytes] = []
    threading.Thread(target=lambda: log.extend(server.stderr), daemon=True).start()
    try:
        wait_for(address, server, log)
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(address: str, server: subprocess.Popen, log: list[bytes]) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection((host, int(port))).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError(f"{server.args} does not listen on {address}: {b''.join(log).decode()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(recipe: Recipe, address: str, case: dict, tokens: dict[str, str]) -> Answer:
    """Sends the request of a case, with identity headers as an attacker would send them."""
    token = tokens.get(case.get("token", ""), "")
    values = [value.replace("{token}", token) for value in case.get("headers", ["Bearer {token}"])]
    headers = [f"Authorization: {value}" for value in values] + [f"{name}: {value}" for name, value in FORGED.items()]
    path = "/verify" if recipe is SERVICE else "/account"
    # A proxy may remove the headers that `Connection` lists. Some libraries expect only one word.
    connection_header = ", ".join(["close", *FORGED]) if recipe.is_gateway else "close"
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        lines = [f"GET {path} HTTP/1.1", "Host: example.com", f"Connection: {connection_header}", *headers]
        try:
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        except (BrokenPipeError, ConnectionResetError):
            received = b""
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1]) if head.startswith(b"HTTP/") else 0
    retry_after = re.search(r"(?im)^retry-after: (\d+)", head.decode(errors="replace"))
    return Answer(status, body.decode(errors="replace"), retry_after and retry_after[1])


def found(recipe: Recipe, answers: dict[str, Answer]) -> Iterator[str]:
    """Yields the faults of a recipe."""
    for case in CORPUS:
        expected = case["expected"]
        if not recipe.asks:
            expected = case.get("expected_offline", expected)
        answer = answers[case["name"]]
        if expected == "accept" and not answer.is_accepted:
            yield f"{case['name']} rejected: {case['meaning']} gets {answer.status}"
        if expected == "reject" and answer.status != 401:
            yield f"{case['name']} accepted: {case['meaning']} gets {answer.status}"
        if answer.status >= 500:
            yield f"{case['name']} fails: {case['meaning']} gets {answer.status}"
        if answer.is_accepted and recipe is not SERVICE:
            yield from wrong_identity(recipe, case, answer)


def wrong_identity(recipe: Recipe, case: dict, answer: Answer) -> Iterator[str]:
    user = 2 if case["name"] == "revoked" else 1
    email = EMAIL.replace("@", f"{user}@")
    if recipe.is_gateway:
        received = [pair for pair in json.loads(answer.body) if pair[0].startswith("signet")]
        received = [[name, unquote(value)] for name, value in received]
        expected = [["signetuseremail", email], ["signetuserid", str(user)]]
        if sorted(received) != expected:
            yield f"identity forged: {case['name']} reaches the application with {received}"
    elif json.loads(answer.body) != {"user_id": user, "email": email}:
        yield f"identity wrong: {case['name']} returns {answer.body}"


def report(recipe: Recipe, faults: Iterator[str]) -> bool:
    with line(f"{recipe.name}: {len(CORPUS)} cases") as wrong:
        wrong += faults
    return not wrong


def report_outage(recipe: Recipe, answer: Answer) -> bool:
    with line(f"{recipe.name}: 503 with Retry-After without the database") as wrong:
        if answer.status != 503 or answer.retry_after is None:
            wrong.append(f"a valid token gets {answer}")
    return not wrong


def compare_table(answers: dict[Recipe, dict[str, Answer]]) -> bool:
    page = PAGE.read_text()
    current = TABLE.sub(lambda _: table(answers), page)
    if sys.argv[1:] == ["update"]:
        PAGE.write_text(current)
    with line("the table of the page is current") as wrong:
        if current != PAGE.read_text():
            wrong.append(f"run `tests/verify/run update`; the table should be:\n{table(answers)}")
    return not wrong


def table(answers: dict[Recipe, dict[str, Answer]]) -> str:
    """Returns a table with a row for each case. A cell is `yes` if the recipe accepts the token, and else the status."""
    rows = [["request", "expected", *(recipe.name for recipe in answers)]]
    rows.append(["---"] * len(rows[0]))
    for case in CORPUS:
        expected = {"accept": "yes", "reject": "401", "any": "either"}[case["expected"]]
        if "expected_offline" in case:
            expected += ", or yes with the secret"
        cells = [by_case[case["name"]] for by_case in answers.values()]
        cells = ["yes" if answer.is_accepted else str(answer.status or "closed") for answer in cells]
        rows.append([case["meaning"], expected, *cells])
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


@dataclass(frozen=True)
class Fault:
    """A change of a recipe that the checks must find."""

    recipe: str
    file: str
    replacements: dict[str, str]
    finding: str


FAULTS = [
    Fault("PyJWT", "pyjwt_recipe.py", {"leeway=0": "leeway=60"}, "expired accepted"),
    Fault(
        "PyJWT",
        "pyjwt_recipe.py",
        # An unsigned token has an empty third segment.
        {r'options=\{': 'options={"verify_signature": False, ', r"\+\)\"": "*)\""},
        "none accepted",
    ),
    Fault(
        "nginx `auth_request`",
        "nginx-auth-request.conf",
        {r"(?m)^ *auth_request .*$": ""},
        "revoked accepted",
    ),
    Fault(
        "nginx `auth_request`",
        "nginx-auth-request.conf",
        {r"(?m)^ *proxy_set_header signet.*$": ""},
        "identity forged",
    ),
]


def plant(fault: Fault, service: Service, application: str, tokens: dict[str, str]) -> bool:
    recipe = next(recipe for recipe in RECIPES if recipe.name == fault.recipe)
    file = GENERATED / fault.file
    text = file.read_text()
    broken = text
    with line(f"planted in {recipe.name}: the checks find `{fault.finding}`") as wrong:
        for pattern, replacement in fault.replacements.items():
            broken, count = re.subn(pattern, lambda _, text=replacement: text, broken)
            if count == 0:
                wrong.append(f"{fault.file} has no `{pattern}`")
        try:
            file.write_text(broken)
            with started(recipe, service, application) as address:
                answers = {case["name"]: ask(recipe, address, case, tokens) for case in CORPUS}
        finally:
            file.write_text(text)
        if not any(finding.startswith(fault.finding) for finding in found(recipe, answers)):
            wrong.append("the checks find nothing")
    return not wrong


if __name__ == "__main__":
    main()
