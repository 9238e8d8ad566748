"""Tests the recipes of docs/guides/verify-tokens.md with the tokens of corpus.json and corpus-public-keys.json.

The recipes are the code blocks of the page whose first line is a comment with a file name. Each recipe runs as a server, and gets a request
for each case of a corpus. The tables of the page have the answers: `main.py update` writes the tables, and `main.py` compares them.

At the end, a fault is planted in one recipe at a time, and the checks must find the fault.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from findings import line  # noqa: E402
from servers import (  # noqa: E402
    EMAIL,
    KeyService,
    KeySet,
    SecretService,
    Service,
    free_port,
    process,
    started_application,
)

PAGE = HERE.parent.parent / "docs/guides/verify-tokens.md"
GENERATED = HERE / "generated"
MARKERS = [
    ("<!-- answers -->", "<!-- end of answers -->"),
    ("<!-- answers with public keys -->", "<!-- end of answers with public keys -->"),
]
BLOCK = re.compile(r"^```\w+\n(?:#|//) (?P<name>[\w.-]+)\n.*?^```$", re.M | re.S)
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
    # For a recipe with public keys: the file, the text that sets the cooldown of 30 seconds, and the text before a check of the issuer.
    file: str = ""
    cooldown: str = ""
    before_issuer: str = ""


def gateway(name: str, folder: str, *, asks: bool) -> Recipe:
    return Recipe(name, ["gateways/start", folder], asks=asks, is_gateway=True)


TARGET = os.environ.get("CARGO_TARGET_DIR", str(HERE.parent.parent / "target"))
SERVICE = Recipe("Signet", [], asks=True)
RECIPES = [
    Recipe("PyJWT", [".venv/bin/python", "hosts/python_pyjwt.py", "pyjwt_recipe"]),
    Recipe("DRF", [".venv/bin/python", "hosts/python_drf.py"]),
    Recipe("Simple JWT", [".venv/bin/python", "hosts/python_simplejwt.py"]),
    Recipe("FastAPI", [".venv/bin/python", "hosts/python_fastapi.py"]),
    Recipe("jose", ["node", "hosts/jose.mjs", "jose.mjs"]),
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
RECIPES_WITH_PUBLIC_KEYS = [
    Recipe(
        "PyJWT",
        [".venv/bin/python", "hosts/python_pyjwt.py", "pyjwt_public_keys"],
        file="pyjwt_public_keys.py",
        cooldown="cooldown_duration=30",
        before_issuer="leeway=0, ",
    ),
    Recipe(
        "jose",
        ["node", "hosts/jose.mjs", "jose-public-keys.mjs"],
        file="jose-public-keys.mjs",
        cooldown="cooldownDuration: 30_000",
        before_issuer="clockTolerance: 0, ",
    ),
    Recipe(
        "Go",
        ["generated/verify-go", "public-keys"],
        file="public_keys.go",
        cooldown="cooldown   = 30",
        before_issuer="claims.UserID != 0 && ",
    ),
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
        application = running.enter_context(started_application())
        groups = [
            running.enter_context(started_group(*group, Path(folder), application))
            for group in (
                ("with the secret", "corpus.json", RECIPES, SecretService),
                ("with public keys", "corpus-public-keys.json", RECIPES_WITH_PUBLIC_KEYS, KeyService),
            )
        ]
        secret, keys = groups
        secret.tokens["es256_issued"] = keys.tokens["issued"]
        keys.tokens["hs256_issued"] = secret.tokens["issued"]
        answers = {group: group.answers() for group in groups}
        passed = [
            report(group, recipe, found(group, recipe, of_recipe))
            for group in groups
            for recipe, of_recipe in answers[group].items()
        ]
        passed.append(compare_tables(answers))
        for group in groups:
            with group.service.without_database():
                passed += [
                    report_outage(group, recipe, ask(recipe, address, group.cases[0], group.tokens))
                    for recipe, address in group.addresses.items()
                    if recipe.asks
                ]
        passed += [rejects_tokens_of(other, group) for group, other in (groups, reversed(groups))]
        passed += [fetches_keys(recipe, keys) for recipe in keys.recipes]
        passed += [checks_issuer(recipe, keys) for recipe in keys.recipes]
        passed += [plant(fault, secret) for fault in FAULTS]
        passed += [plant(fault, keys) for fault in FAULTS_WITH_PUBLIC_KEYS]
    sys.exit(not all(passed))


def extract() -> None:
    """Writes the code blocks of the page into files."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    for block in BLOCK.finditer(PAGE.read_text()):
        text = block[0].split("\n", 1)[1].removesuffix("```")
        (GENERATED / block["name"]).write_text(text)


def build() -> None:
    build_go()
    cargo = ["cargo", "build", "--locked", "--quiet", "--manifest-path", "rust/Cargo.toml"]
    subprocess.run(cargo, cwd=HERE, env={**os.environ, "CARGO_TARGET_DIR": TARGET}, check=True)


def build_go() -> None:
    for package, file in (("auth", "auth.go"), ("publickeys", "public_keys.go")):
        (HERE / "go" / package).mkdir(exist_ok=True)
        shutil.copy(GENERATED / file, HERE / "go" / package)
    offline = {**os.environ, "GOPROXY": "off"}
    subprocess.run(["go", "build", "-o", "../generated/verify-go", "."], cwd=HERE / "go", env=offline, check=True)


@dataclass(frozen=True, eq=False)
class Group:
    """Recipes that get the requests of one corpus, and the service that signs the tokens."""

    name: str
    cases: list[dict]
    service: Service
    application: str
    tokens: dict[str, str]
    recipes: dict[Recipe, str] = field(default_factory=dict)

    @property
    def addresses(self) -> dict[Recipe, str]:
        return {SERVICE: self.service.admin, **self.recipes}

    def answers(self) -> dict[Recipe, dict[str, "Answer"]]:
        """Sends all requests to all recipes."""
        answers = {recipe: {} for recipe in self.addresses}
        for case in self.cases:
            if case["name"] == "last-second":
                self.tokens.update(self.service.mint_at_the_start_of_a_second())
            with ThreadPoolExecutor() as pool:
                asked = {
                    recipe: pool.submit(ask, recipe, address, case, self.tokens)
                    for recipe, address in self.addresses.items()
                }
            for recipe, answer in asked.items():
                answers[recipe][case["name"]] = answer.result()
        return answers


@contextmanager
def started_group(
    name: str, corpus: str, recipes: list[Recipe], kind: type[Service], folder: Path, application: str
) -> Iterator[Group]:
    service = kind(folder)
    with ExitStack() as running:
        running.enter_context(process([os.environ["SIGNET"], "serve"], service.environment, service.admin))
        group = Group(name, json.loads((HERE / corpus).read_text()), service, application, service.mint())
        for recipe in recipes:
            group.recipes[recipe] = running.enter_context(started(recipe, group))
        yield group


@contextmanager
def started(recipe: Recipe, group: Group, variables: dict[str, str] | None = None) -> Iterator[str]:
    """Starts a recipe, and returns its address."""
    variables = variables or group.service.variables
    address = f"127.0.0.1:{free_port()}"
    command = [str(HERE / recipe.command[0]), *recipe.command[1:]] if "/" in recipe.command[0] else recipe.command
    environment = {**os.environ, "PORT": address.split(":")[1], **variables}
    with tempfile.TemporaryDirectory() as folder:
        if recipe.is_gateway:
            # nginx started by root reads its files as another user.
            os.chmod(folder, 0o755)
            replaced = {
                "127.0.0.1:3000": group.application,
                "127.0.0.1:8080": address,
                "127.0.0.1:9000": group.service.admin,
                "/etc/signet/jwt-secrets": variables["JWT_SECRETS_FILE"],
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


def found(group: Group, recipe: Recipe, answers: dict[str, Answer]) -> Iterator[str]:
    """Yields the faults of a recipe."""
    for case in group.cases:
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


def report(group: Group, recipe: Recipe, faults: Iterator[str]) -> bool:
    with line(f"{recipe.name} {group.name}: {len(group.cases)} cases") as wrong:
        wrong += faults
    return not wrong


def report_outage(group: Group, recipe: Recipe, answer: Answer) -> bool:
    with line(f"{recipe.name} {group.name}: 503 with Retry-After without the database") as wrong:
        if answer.status != 503 or answer.retry_after is None:
            wrong.append(f"a valid token gets {answer}")
    return not wrong


def rejects_tokens_of(other: Group, group: Group) -> bool:
    """The recipes of a group accept no token that another group accepts."""
    with line(f"recipes {group.name}: every token of the other group is rejected") as wrong:
        for recipe, address in group.addresses.items():
            for name in other.tokens.keys() - {"es256_issued", "hs256_issued"}:
                answer = ask(recipe, address, {"name": name, "token": name}, other.tokens)
                if answer.status not in (400, 401, 431):
                    wrong.append(f"{recipe.name}: {name} gets {answer.status}")
    return not wrong


def compare_tables(answers: dict[Group, dict[Recipe, dict[str, Answer]]]) -> bool:
    page = PAGE.read_text()
    current = page
    for group, (start, end) in zip(answers, MARKERS, strict=True):
        current = re.sub(
            f"(?<={start}\n).*?(?={end})", lambda _, group=group: table(group, answers[group]), current, flags=re.S
        )
    if sys.argv[1:] == ["update"]:
        PAGE.write_text(current)
    with line("the tables of the page are current") as wrong:
        if current != PAGE.read_text():
            tables = "".join(table(group, answers[group]) for group in answers)
            wrong.append(f"run `tests/verify/run update`; the tables should be:\n{tables}")
    return not wrong


def table(group: Group, answers: dict[Recipe, dict[str, Answer]]) -> str:
    """Returns a table with a row for each case. A cell is `yes` if the recipe accepts the token, and else the status."""
    rows = [["request", "expected", *(recipe.name for recipe in answers)]]
    rows.append(["---"] * len(rows[0]))
    for case in group.cases:
        expected = {"accept": "yes", "reject": "401", "any": "either"}[case["expected"]]
        if "expected_offline" in case:
            expected += f", or yes {group.name}"
        cells = [by_case[case["name"]] for by_case in answers.values()]
        cells = ["yes" if answer.is_accepted else str(answer.status or "closed") for answer in cells]
        rows.append([case["meaning"], expected, *cells])
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


@contextmanager
def with_key_set(
    recipe: Recipe, group: Group, keys: list[dict] | None
) -> Iterator[tuple[KeySet, Callable[[str], int]]]:
    """Starts a recipe with these public keys. Returns the key set, and a function that returns the status of a token."""
    key_set = KeySet(keys)
    with started(recipe, group, {"JWKS_URL": f"http://127.0.0.1:{key_set.server.server_port}/"}) as address:
        yield key_set, lambda token: ask(recipe, address, {"token": token}, group.tokens).status
    key_set.server.shutdown()


def fetches_keys(recipe: Recipe, group: Group) -> bool:
    """The keys are cached. An unknown `kid` makes the recipe fetch the keys, but not during the cooldown."""
    with line(f"{recipe.name} {group.name}: the keys are cached, and fetched for an unknown kid") as wrong:
        wrong += wrong_fetches(recipe, group)
        with changed(recipe.file, {recipe.cooldown: re.sub(r"30(_000)?$", "0", recipe.cooldown)}) as missing:
            wrong += missing
            first, second = group.service.published(group.tokens["issued"])
            with with_key_set(recipe, group, [second]) as (key_set, status):
                before = status("issued")
                key_set.keys = [first, second]
                if (before, status("issued")) != (401, 200):
                    wrong.append("an unknown kid does not make the recipe fetch the keys")
    return not wrong


def wrong_fetches(recipe: Recipe, group: Group) -> Iterator[str]:
    """Yields the faults of the cache."""
    _, second = group.service.published(group.tokens["issued"])
    with with_key_set(recipe, group, [second]) as (key_set, status):
        unknown = [status("issued") for _ in range(3)]
        key_set.keys = None
        if (unknown, status("second")) != ([401] * 3, 200):
            yield f"keys not cached: an unknown kid gets {unknown}"
        if key_set.requests != 1:
            yield f"keys fetched {key_set.requests} times: there were three requests with an unknown kid"
    with with_key_set(recipe, group, None) as (_, status):
        if (answer := status("issued")) != 503:
            yield f"keys unavailable: the recipe answers with {answer}"


def checks_issuer(recipe: Recipe, group: Group) -> bool:
    """With the code that the page adds for the issuer, a recipe accepts only tokens of this issuer."""
    title = f"{recipe.name} {group.name}: the code for the issuer rejects other tokens"
    existing = re.escape(recipe.before_issuer.rstrip(" ,&"))
    added = {existing: recipe.before_issuer + code_for_issuer(recipe)}
    tokens = group.tokens | {"obtained": group.service.obtain()}
    with line(title) as wrong, changed(recipe.file, added) as missing:
        wrong += missing
        with started(recipe, group) as address:
            names = ("obtained", "issued", "other_issuer")
            statuses = {name: ask(recipe, address, {"token": name}, tokens).status for name in names}
        if statuses != {"obtained": 200, "issued": 401, "other_issuer": 401}:
            wrong.append(f"the tokens get {statuses}")
    return not wrong


def code_for_issuer(recipe: Recipe) -> str:
    after = PAGE.read_text().split(f" {recipe.file}\n", 1)[1]
    return re.search(r"To check the issuer, add [^`]+`(.+?)`", after)[1]


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


FAULTS_WITH_PUBLIC_KEYS = [
    Fault(
        "PyJWT",
        "pyjwt_public_keys.py",
        # HS256 with the bytes of the public key as the secret.
        {
            r'\["ES256"\]': '["ES256", "HS256"]',
            r"(?m)^        key,$": "        key_for(jwt.get_unverified_header(match[1])['alg'], key),",
            r"(?m)^def verify": "def key_for(alg, key):\n"
            "    if alg == 'ES256':\n"
            "        return key\n"
            "    point = key.key.public_numbers()\n"
            "    return point.x.to_bytes(32, 'big') + point.y.to_bytes(32, 'big')\n\n\n"
            "def verify",
        },
        "hs256-point accepted",
    ),
    Fault("PyJWT", "pyjwt_public_keys.py", {r"options=\{": 'options={"verify_exp": False, '}, "expired accepted"),
    Fault("PyJWT", "pyjwt_public_keys.py", {"cooldown_duration=30": "cooldown_duration=0"}, "keys fetched"),
    Fault("jose", "jose-public-keys.mjs", {"clockTolerance: 0": "clockTolerance: 60"}, "expired accepted"),
    Fault("jose", "jose-public-keys.mjs", {"'exp', ": ""}, "no-exp accepted"),
    Fault("Go", "public_keys.go", {r" && claims\.ExpiresAt != nil": ""}, "no-exp accepted"),
]


@contextmanager
def changed(name: str, replacements: dict[str, str]) -> Iterator[list[str]]:
    """Changes the file of a recipe. Returns the patterns that the file lacks."""
    file = GENERATED / name
    text = file.read_text()
    broken, missing = text, []
    for pattern, replacement in replacements.items():
        broken, count = re.subn(pattern, lambda _, text=replacement: text, broken)
        if count == 0:
            missing.append(f"{name} has no `{pattern}`")
    try:
        file.write_text(broken)
        if file.suffix == ".go":
            build_go()
        yield missing
    finally:
        file.write_text(text)


def plant(fault: Fault, group: Group) -> bool:
    recipe = next(recipe for recipe in group.recipes if recipe.name == fault.recipe)
    title = f"planted in {recipe.name} {group.name}: the checks find `{fault.finding}`"
    with line(title) as wrong, changed(fault.file, fault.replacements) as missing:
        wrong += missing
        with started(recipe, group) as address:
            answers = {case["name"]: ask(recipe, address, case, group.tokens) for case in group.cases}
        findings = list(found(group, recipe, answers))
        if fault.finding.startswith("keys "):
            findings += wrong_fetches(recipe, group)
        if not any(finding.startswith(fault.finding) for finding in findings):
            wrong.append("the checks find nothing")
    return not wrong


if __name__ == "__main__":
    main()
