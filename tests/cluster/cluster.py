"""Three nodes with PostgreSQL under Patroni, and their state."""

import json
import tempfile
import time
from pathlib import Path

from certificates import Authority
from node import NODES, Node
from poll import until

# The password of the role `signet`, which the service uses.
PASSWORD = "the-password-of-signet"
ROLES = ["leader", "replica", "sync_standby"]


class Cluster:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="nodes-"))
        self.folder.chmod(0o755)
        self.authority = Authority(self.folder / "authority")
        self.nodes = [Node(name, self.folder, self.authority) for name in NODES]
        for node in self.nodes:
            node.start_etcd()
        self.wait(self.etcd_leader, "etcd has a leader")
        # All nodes may start at the same time: only one initializes the cluster.
        for node in self.nodes:
            node.start_patroni()
        leader = self.healthy()
        leader.sql(f"CREATE ROLE signet LOGIN PASSWORD '{PASSWORD}'")
        leader.sql("CREATE DATABASE signet OWNER signet TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        leader.sql("CREATE TABLE written (at timestamptz DEFAULT clock_timestamp())")

    def wait(self, condition, what, seconds=60):
        def told():
            return "\n".join([what, *(node.logs() for node in self.nodes)])

        return until(condition, told, seconds)

    def leader(self, without=None):
        """Returns the node that accepts writes, or None. Does not ask the node `without`."""
        return next((node for node in self.nodes if node is not without and node.is_leader()), None)

    def new_leader(self, old):
        """Waits for a leader after a fault. Returns the leader, and the time at which the leader reported itself."""
        return self.wait(lambda: self.leader(without=old), "a new leader accepts writes"), time.monotonic()

    def etcd_leader(self):
        return next((node for node in self.nodes if node.leads_etcd()), None)

    def standby(self, role="sync_standby"):
        """Returns the first node with a role, as the leader sees the roles."""
        names = [member["name"] for member in self.members(self.leader()) if member["role"] == role]
        return next((node for node in self.nodes if node.name in names), None)

    def members(self, leader):
        answer = leader and leader.ask("GET", "/cluster")
        return json.loads(answer[1])["members"] if answer else []

    def healthy(self):
        """Waits until one node is the leader, one is its synchronous standby, and one is another standby. Returns the leader."""

        def leader():
            found = self.leader()
            members = self.members(found)
            good = sorted(member["role"] for member in members) == ROLES
            good &= {member["state"] for member in members} <= {"running", "streaming"}
            good &= len({member.get("timeline") for member in members}) == 1
            return found if good and self.streams(found) else None

        return self.wait(leader, "all nodes are healthy")

    def streams(self, leader):
        """Returns whether both standbys receive the changes of the leader."""
        try:
            return leader.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", timeout=5) == "2"
        except RuntimeError:
            return False

    def agree(self):
        """Waits until all nodes have the same accounts."""
        digest = "SELECT count(*), md5(string_agg(CAST(row AS text), '|' ORDER BY id)) FROM users AS row"

        def same():
            return len({node.sql(digest, "signet") for node in self.nodes}) == 1

        self.wait(same, "all nodes have the same accounts", 20)
