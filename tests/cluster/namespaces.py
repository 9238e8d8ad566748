"""A network of namespaces: each node has a network namespace, with a cable to a common bridge."""

import os
import signal
import subprocess
from pathlib import Path

# A packet to this hardware address is lost, because no interface has the address.
NOWHERE = "02:00:00:00:00:01"
# The bridge's own address, from which the tests connect.
HERE = "10.0.0.254"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def network():
    """Creates the bridge. The suite runs in its own network and mount namespace."""
    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
    ip("link", "set", "lo", "up")
    ip("link", "add", "cluster", "type", "bridge")
    ip("address", "add", f"{HERE}/24", "dev", "cluster")
    ip("link", "set", "cluster", "up")


class Namespace:
    """A machine of the network."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.inside = ["ip", "netns", "exec", name]
        ip("netns", "add", name)
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", name, "master", "cluster", "up")
        ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")

    def unplug(self):
        """Cuts the machine from all others. Its packets are lost, and its connections stay open."""
        ip("link", "set", self.name, "down")

    def plug(self):
        ip("link", "set", self.name, "up")

    def forget(self, other):
        """Cuts the network between two machines: all their packets to each other are lost."""
        for one, two in [(self, other), (other, self)]:
            ip("-n", one.name, "neighbor", "replace", two.address, "lladdr", NOWHERE, "nud", "permanent", "dev", "eth0")

    def find(self, other):
        """Repairs the network after `forget`."""
        for one, two in [(self, other), (other, self)]:
            ip("-n", one.name, "neighbor", "delete", two.address, "dev", "eth0")

    def processes(self):
        listed = subprocess.run(["ip", "netns", "pids", self.name], check=True, text=True, capture_output=True)
        return {int(process) for process in listed.stdout.split()}

    def signal(self, number, processes):
        for process in processes:
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass

    def kill(self, spared=()):
        """Kills all processes of the machine, without a chance to clean up."""
        while processes := {process for process in self.processes() - set(spared) if is_alive(process)}:
            self.signal(signal.SIGKILL, processes)

    def freeze(self, spared=()):
        """Stops all processes of the machine. They keep their connections and locks."""
        frozen = set()
        while processes := self.processes() - set(spared) - frozen:
            self.signal(signal.SIGSTOP, processes)
            frozen |= processes

    def thaw(self):
        self.signal(signal.SIGCONT, self.processes())


def is_alive(process):
    """Returns whether a process runs. A zombie does not run."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
