"""Tests the Debian package: installation, start, use, upgrade and removal. Each test boots a separate Debian."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boot
import runbook

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The pages whose commands run on one machine, in this order.
RUN_BOOKS = [
    "start/install.md",
    "guides/reverse-proxy-and-tls.md",
    "guides/backup-and-restore.md",
    "guides/postgresql.md",
    "guides/upgrade.md",
    "guides/rotate-secrets.md",
    "guides/accounts.md",
    "guides/troubleshooting.md",
    "guides/monitoring.md",
]
CACHE = Path(os.environ["CACHE"])
EMAIL, PASSWORD = "you@example.com", "correct horse"
BUILT = tempfile.TemporaryDirectory()
# The name that `make package` uses.
PACKAGE = Path(BUILT.name, "signet_0.1.0-1_amd64.deb")


def setUpModule():
    CACHE.mkdir(parents=True, exist_ok=True)
    make = [ROOT / "packaging/debian/make", os.environ["SIGNET"], PACKAGE]
    # Packages the build that all tests share, because a release build would compile everything again.
    subprocess.run([*make, "--profile=dev", "--fast"], check=True)


def tearDownModule():
    BUILT.cleanup()


class Machine(boot.Machine):
    """A booted system with the package in `/root`. A command that fails in `do` fails the test."""

    def __init__(self):
        super().__init__(CACHE)
        self.put(PACKAGE.read_bytes(), f"/root/{PACKAGE.name}")

    def put(self, content, path):
        (self.root / path.lstrip("/")).write_bytes(content)

    def do(self, *command, **options):
        done = self.run(*command, **options)
        assert done.returncode == 0, (command, done.stdout, done.stderr, self.journal())
        return done.stdout

    def shell(self, script):
        return self.do("sh", "-euc", script)

    def journal(self):
        return self.run("journalctl", "--unit=signet", "--no-pager", "--output=cat").stdout

    def install(self):
        self.do("apt-get", "install", "-y", f"/root/{PACKAGE.name}")

    def signet(self, *arguments, **options):
        return self.do("sudo", "-u", "signet", "signet", *arguments, **options)

    def add(self):
        self.signet("user", "create", EMAIL, "--password-stdin", input=f"{PASSWORD}\n")

    def post(self, operation, body, url="http://127.0.0.1:8000", *options):
        url = f"{url}/v1/auth/jwt/{operation}/"
        answer = self.ask("curl", "-sS", *options, "--json", json.dumps(body), url)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def token(self, *where):
        return self.post("obtain", {"email": EMAIL, "password": PASSWORD}, *where)["token"]

    def refresh(self, token, *where):
        return self.post("refresh", {"token": token}, *where)["token"]


class Package(unittest.TestCase):
    def setUp(self):
        self.machine = self.enterContext(Machine())

    def test_what_is_installed_serves_until_it_is_removed_and_its_accounts_stay(self):
        machine = self.machine
        machine.install()
        self.assertEqual(machine.do("systemctl", "is-active", "signet"), "active\n")
        self.assertEqual(machine.do("systemctl", "is-enabled", "signet"), "enabled\n")
        # An operator must enable the socket.
        self.assertEqual(machine.run("systemctl", "is-enabled", "signet-http.socket").stdout, "disabled\n")
        machine.add()
        token = machine.token()
        machine.refresh(token)
        owner = machine.do("stat", "-c%U:%G %a", "/var/lib/signet", "/var/lib/signet/signet.db")
        self.assertEqual(owner, "signet:signet 700\nsignet:signet 600\n")
        # Other users cannot read the accounts.
        self.assertNotEqual(machine.run("sudo", "-u", "nobody", "cat", "/var/lib/signet/signet.db").returncode, 0)

        machine.do("apt-get", "remove", "-y", "signet")
        self.assertNotEqual(machine.ask("curl", "-s", "http://127.0.0.1:8000/").returncode, 0)
        machine.install()
        machine.refresh(token)

        said = machine.do("apt-get", "purge", "-y", "signet")
        self.assertIn("The accounts are still in /var/lib/signet", said)
        left = machine.do("find", "/etc", "/usr", "/lib", "/var/lib/systemd", "-xdev", "-iname", "*signet*", "-not", "-path", "/etc/host*")
        self.assertEqual(left, "")
        machine.do("test", "-e", "/var/lib/signet/signet.db")
        self.assertEqual(machine.do("systemctl", "--failed", "--no-legend"), "")

    def test_an_upgrade_restarts_it_and_keeps_what_the_operator_has_set(self):
        machine = self.machine
        machine.install()
        machine.add()
        token = machine.token()
        machine.shell("echo 'jwt_expires_in = \"5m\"' >>/etc/signet/signet.toml")
        machine.do("systemctl", "start", "sockets.target")
        self.assertEqual(machine.run("systemctl", "is-active", "signet-http.socket").stdout, "inactive\n")
        before = machine.do("systemctl", "show", "--value", "--property=MainPID", "signet")
        machine.do("dpkg", "--force-confold", "-i", f"/root/{PACKAGE.name}")
        after = machine.do("systemctl", "show", "--value", "--property=MainPID", "signet")
        self.assertNotEqual(before, after)
        self.assertEqual(machine.run("systemctl", "is-active", "signet-http.socket").stdout, "inactive\n")
        machine.refresh(token)
        answer = machine.post("obtain", {"email": EMAIL, "password": PASSWORD})
        self.assertEqual(answer["expires_in"], 300)

    def test_the_unit_is_hardened_and_well_formed(self):
        machine = self.machine
        machine.install()
        # The threshold is in tenths: the exposure level must be below 2.0.
        said = machine.do("systemd-analyze", "security", "--threshold=19", "--no-pager", "signet")
        self.assertIn("Overall exposure level for signet.service", said)
        for unit in ["signet.service", "signet-http.socket"]:
            machine.do("systemd-analyze", "verify", "--recursive-errors=yes", unit)
        main = machine.do("systemctl", "show", "--value", "--property=MainPID", "signet").strip()
        status = machine.shell(f"grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/{main}/status").split()
        user = machine.do("id", "-u", "signet").strip()
        self.assertNotEqual(user, "0")
        none = "0" * 16
        self.assertEqual(status, ["Uid:", *[user] * 4, "CapEff:", none, "CapBnd:", none, "NoNewPrivs:", "1", "Seccomp:", "2"])
        # In the mount namespace of the service, only the folders of the service are writable.
        view = ["nsenter", f"--target={main}", "--mount", "--setuid", user]
        for folder, may in [("/var/lib/signet", True), ("/run/signet", True), ("/etc/signet", False), ("/usr/bin", False), ("/srv", False)]:
            wrote = machine.run(*view, "sh", "-c", f"touch {folder}/x")
            self.assertEqual(wrote.returncode == 0, may, (folder, wrote.stderr))
        as_root = machine.run("nsenter", f"--target={main}", "--mount", "touch", "/usr/bin/x")
        self.assertIn("Read-only file system", as_root.stderr)
        # Checks that the tool fails if the level is above the threshold.
        self.assertNotEqual(machine.run("systemd-analyze", "security", "--threshold=1", "signet").returncode, 0)

    def test_systemd_opens_a_port_for_it_and_nobody_is_refused_by_an_upgrade(self):
        machine = self.machine
        machine.install()
        machine.add()
        machine.shell("echo 'listen = \"systemd:http\"' >>/etc/signet/signet.toml")
        machine.do("systemctl", "stop", "signet")
        machine.do("systemctl", "enable", "--now", "signet-http.socket")
        # The service does not run yet. The first request starts the service.
        self.assertEqual(machine.run("systemctl", "is-active", "signet").stdout, "inactive\n")
        where = "http://127.0.0.1:443"
        token = machine.token(where)
        for change in [["systemctl", "restart", "signet"], ["apt-get", "install", "-y", "--reinstall", f"/root/{PACKAGE.name}"]]:
            done = subprocess.Popen(machine.command(*change), env=boot.ENVIRONMENT, stdout=subprocess.DEVNULL)
            # Four clients open a new connection for each request.
            with ThreadPoolExecutor(4) as clients:
                while done.poll() is None:
                    for refreshed in [clients.submit(machine.refresh, token, where) for _ in range(20)]:
                        refreshed.result()
            self.assertEqual(done.returncode, 0)
        machine.do("apt-get", "remove", "-y", "signet")
        self.assertNotEqual(machine.ask("curl", "-s", where).returncode, 0)

    def test_a_setting_that_will_not_do_is_told_in_the_journal(self):
        machine = self.machine
        machine.install()
        machine.shell("echo 'lsten = \"0.0.0.0:80\"' >>/etc/signet/signet.toml")
        self.assertNotEqual(machine.run("systemctl", "restart", "signet").returncode, 0)
        self.assertIn("lsten: unknown setting", machine.journal())

    def test_it_is_restarted_when_it_is_killed(self):
        machine = self.machine
        machine.install()
        machine.add()
        token = machine.token()
        machine.do("systemctl", "kill", "--signal=KILL", "signet")
        status = ["systemctl", "show", "--value", "--property=NRestarts", "--property=ActiveState", "signet"]
        boot.until(30, "restart of the service", lambda: machine.do(*status).split() == ["1", "active"])
        machine.refresh(token)

    def test_every_page_of_the_manual_renders(self):
        machine = self.machine
        machine.install()
        pages = machine.shell("ls /usr/share/man/man1/ | grep ^signet").split()
        self.assertGreater(len(pages), 20)
        for page in pages:
            shown = machine.run("man", "--warnings", "--pager=cat", page.removesuffix(".1.gz"))
            self.assertEqual((shown.returncode, shown.stderr), (0, ""), page)
            self.assertIn("NAME", shown.stdout)
        serve = " ".join(machine.do("man", "--pager=cat", "signet-serve").split())
        self.assertIn("--jwt-expires-in <DURATION> Lifetime of a token", serve)

    def test_shells_complete_its_commands(self):
        machine = self.machine
        machine.install()
        bash = """
            . /usr/share/bash-completion/bash_completion
            _completion_loader signet
            COMP_WORDS=(signet us) COMP_CWORD=1 COMP_LINE='signet us' COMP_POINT=9
            _signet signet us signet
            echo "${COMPREPLY[@]}"
        """
        self.assertEqual(machine.do("bash", "-c", bash), "user\n")
        fish = machine.do("fish", "-c", "complete --do-complete='signet us'")
        self.assertEqual(fish, "user\tCreate, show and change accounts\n")
        zsh = "autoload -Uz compinit; compinit -D; print $_comps[signet]; autoload +X _signet && print loaded"
        self.assertEqual(machine.do("zsh", "-fc", zsh), "_signet\nloaded\n")

    def test_what_it_is_made_of_is_told_without_a_path_of_whoever_built_it(self):
        self.machine.install()
        text = (self.machine.root / "usr/share/doc/signet/signet.cdx.json").read_text()
        told = {(part["name"], part["version"]) for part in json.loads(text)["components"]}
        tree = ["cargo", "tree", "--locked", "--package=signet", "--edges=normal,no-proc-macro", "--prefix=none"]
        tree = subprocess.run(tree, cwd=ROOT, text=True, capture_output=True, check=True).stdout
        linked = {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, tree.splitlines())}
        self.assertGreater(len(linked), 200)
        self.assertEqual(linked - told - {("signet", "0.1.0")}, set())
        for part in json.loads(text)["components"]:
            self.assertTrue(part["licenses"], part["name"])
        self.assertNotIn(str(ROOT), text)

    def test_the_run_books_do_what_they_say(self):
        pages = [ROOT / "docs" / page for page in RUN_BOOKS]
        runbook.run(self, self.machine, pages)
        # After a rejected login, /metrics contains every metric that the pages name.
        self.machine.ask("curl", "-sSk", "https://localhost/v1/auth/jwt/obtain/", "--json", json.dumps({"email": EMAIL, "password": "wrong"}))
        metrics = self.machine.ask("curl", "-sS", "http://127.0.0.1:9000/metrics").stdout
        named = {name for page in pages for name in re.findall(r"\bsignet_[a-z_]+\b", page.read_text())}
        self.assertGreater(len(named), 4)
        self.assertEqual([name for name in sorted(named) if name not in metrics], [])


def end(number, _):
    sys.exit(128 + number)


if __name__ == "__main__":
    # Removes the system after a signal, too.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    unittest.main(verbosity=2)
