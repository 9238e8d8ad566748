"""Nodes, processes and networks of the cluster fail while the service runs. The service must never restart, and no acknowledged change
may be lost."""

import contextlib
import tempfile
import threading
import time
import unittest
from pathlib import Path

import balancer
import cluster
import namespaces
import table
from adding import Adding
from changes import Passwords, Revocations, add_accounts
from load import OK, UNAVAILABLE, Load
from service import WAIT, Service

EMAILS = [f"client-{number}@example.com" for number in range(8)]
# Limit of the recovery time, in seconds.
RECOVERY = 5
# More accounts than a test changes.
ACCOUNTS = 2000


class Writer:
    """Writes to a node in a loop, for the duration of a `with` block."""

    def __init__(self, node):
        self.node = node
        self.stopping = threading.Event()
        self.attempts, self.acknowledged = 0, 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopping.is_set():
            self.acknowledged += self.node.writes()
            self.attempts += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def replica(number, port, certificate):
    """Creates a replica of the service, in a namespace. The replica connects to a port of HAProxy."""
    machine = namespaces.Namespace(f"signet{number}", f"10.0.0.2{number}")
    url = f"postgres://signet@{balancer.ADDRESS}:{port}/signet?sslmode=verify-ca&sslrootcert={certificate}"
    return Service(url, machine.inside, machine.address, PGPASSWORD=cluster.PASSWORD)


class Failover(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        namespaces.network()
        cls.cluster = cluster.Cluster()
        ports = [balancer.POSTGRES, balancer.POSTGRES, balancer.FIXED]
        *cls.replicas, cls.fixed = [
            replica(number, port, cls.cluster.authority.certificate) for number, port in enumerate(ports, 1)
        ]
        for service in [*cls.replicas, cls.fixed]:
            cls.addClassCleanup(service.close)
        cls.balancer = balancer.Balancer(cls.cluster, cls.replicas, Path(tempfile.mkdtemp(prefix="balancer-")))
        cls.cluster.wait(cls.balancer.has_leader, "HAProxy has found the leader")
        cls.replicas[0].add(*EMAILS)
        for service in cls.replicas:
            service.start()

    def setUp(self):
        self.leader = self.cluster.healthy()
        self.prefix = self._testMethodName.replace("_", "-")
        for kind in ("password", "revoked"):
            add_accounts(self.leader, f"{self.prefix}-{kind}", ACCOUNTS)

    @contextlib.contextmanager
    def under_load(self):
        """Runs the load and all kinds of changes for the duration of the block."""
        one, two = self.replicas
        self.changes = [
            Adding(one, f"{self.prefix}-added"),
            Passwords(two, f"{self.prefix}-password"),
            Revocations(two, f"{self.prefix}-revoked"),
        ]
        with contextlib.ExitStack() as stack:
            self.load = stack.enter_context(Load(balancer.CLIENTS, EMAILS, host=balancer.ADDRESS))
            for change in self.changes:
                stack.enter_context(change)
            self.work()
            yield

    def work(self):
        """Waits until logins, refreshes and all kinds of changes succeed."""
        self.load.steady(20)
        for change in self.changes:
            change.more(2)

    def unavailable(self):
        """Waits until a login is rejected with 503, and probes the replicas."""
        begin = len(self.load.answers)
        self.cluster.wait(lambda: UNAVAILABLE in [answer.kind for answer in self.load.answers[begin:]], "a response is 503")

    def survived(self, fault, recovery, without_writes=None):
        """Asserts that no change is lost, and that the service has recovered in time. Adds the row."""
        self.assertEqual([service.process.poll() for service in self.replicas], [None, None])
        self.assertEqual([service.probe("/readyz") for service in self.replicas], [200, 200])
        self.cluster.healthy()
        self.cluster.agree()
        missing = set(EMAILS) | set(self.changes[0].acknowledged)
        missing -= self.replicas[0].emails()
        for change in self.changes:
            missing |= change.missing()
        self.assertLess(self.load.slowest(), WAIT + 2)
        acknowledged = [len(change.acknowledged) for change in self.changes]
        more = [f"{sum(acknowledged):,}", "" if without_writes is None else f"{without_writes:.1f} s"]
        print(f"{fault}: {acknowledged} changes, {more[1]} without writes, recovery {recovery:.2f} s", flush=True)
        table.survived(self, fault, self.load, [UNAVAILABLE], missing, recovery, limit=RECOVERY, more=more)

    def fail_over(self, fault, fail, repair, writer=contextlib.nullcontext):
        """Causes a fault of the leader, and repairs the old leader after the new leader has accepted writes."""
        old = self.leader
        with self.under_load():
            failed = time.monotonic()
            fail(old)
            new, accepted = self.cluster.new_leader(old)
            self.work()
            recovery = self.load.recovery(accepted)
            before = len(self.load.answers)
            with writer(old):
                repair(old)
                self.assertIs(self.cluster.healthy(), new)
            self.work()
        self.assertIn(UNAVAILABLE, self.load.errors())
        # The return of the old leader may change the synchronous standby.
        returned = [answer.started for answer in self.load.answers[before:] if answer.kind != OK]
        if returned:
            recovery = max(recovery, self.load.recovery(returned[0]))
        self.survived(fault, recovery, accepted - failed)

    def test_leader_is_killed(self):
        fault = "all processes of PostgreSQL and Patroni on the leader are killed"
        self.fail_over(fault, lambda old: old.kill(), lambda old: old.start_patroni())

    def test_leader_is_frozen(self):
        writers = []

        def writer(old):
            writers.append(Writer(old))
            return writers[0]

        fault = "PostgreSQL and Patroni on the leader are frozen (SIGSTOP), and continued (SIGCONT) after the failover"
        self.fail_over(fault, lambda old: old.freeze(), lambda old: old.machine.thaw(), writer)
        self.assertGreater(writers[0].attempts, 0)
        self.assertEqual(writers[0].acknowledged, 0, "the old leader has accepted writes")

    def test_leader_is_partitioned(self):
        writers = []

        def fail(old):
            old.machine.unplug()
            # Local clients can still connect to the old leader.
            writers.append(running.enter_context(Writer(old)))

        fault = "the leader, with its member of etcd, is cut from all other machines"
        with contextlib.ExitStack() as running:
            self.fail_over(fault, fail, lambda old: old.machine.plug())
        self.assertGreater(writers[0].attempts, 0)
        self.assertEqual(writers[0].acknowledged, 0, "the old leader has accepted writes")

    def test_switchover(self):
        def switch(old):
            body = {"leader": old.name, "candidate": self.cluster.standby().name}
            answer = old.ask("POST", "/switchover", body)
            self.assertEqual(answer and answer[0], 200, answer)

        old = self.leader
        with self.under_load():
            began = time.monotonic()
            # The request returns after the switchover, so the new leader is awaited meanwhile.
            switching = threading.Thread(target=switch, args=[old])
            switching.start()
            _, accepted = self.cluster.new_leader(old)
            switching.join()
            self.work()
            self.cluster.healthy()
            self.work()
        self.survived("a switchover to the synchronous standby", self.load.recovery(accepted), accepted - began)

    def test_synchronous_standby_is_killed(self):
        standby = self.cluster.standby()
        with self.under_load():
            failed = time.monotonic()
            standby.kill()
            self.work()
            self.assertTrue(self.leader.is_leader())
            standby.start_patroni()
            self.assertIs(self.cluster.healthy(), self.leader)
            self.work()
        fault = "all processes of PostgreSQL and Patroni on the synchronous standby are killed"
        self.survived(fault, self.load.recovery(failed))

    def test_etcd_leader_is_killed(self):
        node = self.cluster.etcd_leader()
        with self.under_load():
            failed = time.monotonic()
            node.kill_etcd()
            self.cluster.wait(self.cluster.etcd_leader, "etcd has a new leader")
            self.work()
            self.assertTrue(self.leader.is_leader())
            node.start_etcd()
            self.cluster.wait(lambda: node.ask("GET", "/health", port=2379), "the member of etcd is back")
            self.assertIs(self.cluster.healthy(), self.leader)
            self.work()
        self.survived("the leader of etcd is killed", self.load.recovery(failed))

    def test_network_to_leader_is_cut(self):
        with self.under_load():
            self.balancer.machine.forget(self.leader.machine)
            self.unavailable()
            time.sleep(5)
            self.assertTrue(self.leader.is_leader())
            self.assertEqual([service.probe("/healthz") for service in self.replicas], [200, 200])
            self.balancer.machine.find(self.leader.machine)
            repaired = time.monotonic()
            self.work()
        self.survived("the network between HAProxy and the leader is cut for 5 s", self.load.recovery(repaired))

    def test_proxy_is_late(self):
        """The proxy forwards connections to the old leader for some time after the switchover, and closes no connection."""
        self.balancer.point(self.leader)
        self.fixed.start()
        with Load(self.fixed.port, EMAILS, host=self.fixed.host) as load:
            load.steady(20)
            answer = self.leader.ask("POST", "/switchover", {"leader": self.leader.name, "candidate": self.cluster.standby().name})
            self.assertEqual(answer and answer[0], 200, answer)
            new = self.cluster.healthy()

            def kinds(since):
                return {answer.kind for answer in load.answers if answer.started > since}

            # The service does not read from a standby, so it rejects logins and refreshes.
            healthy = time.monotonic()
            load.hear(8)
            self.assertEqual(kinds(healthy), {UNAVAILABLE})
            self.assertEqual(self.fixed.probe("/readyz"), 503)
            self.balancer.point(new)
            pointed = time.monotonic()
            load.steady(20)
        self.assertIsNone(self.fixed.process.poll())
        fault = "a switchover, and a proxy without health checks that forwards to the old leader until all nodes are healthy"
        more = ["", ""]
        table.survived(self, fault, load, [UNAVAILABLE], (), load.recovery(pointed), " on one replica", RECOVERY, more)
