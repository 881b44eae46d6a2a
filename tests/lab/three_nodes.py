"""Three nodes on one switch or fabric."""

from . import case, fabric
from .case import TwoNodes, wait_until
from .node import Node

THIRD = {"v4": "10.77.0.3", "v6": "fd77::3"}  # of node3


def join_by_switch(nodes, addresses):
    """Joins the nodes by a switch, with an eth0 at each. Returns the switch, a node."""
    switch = Node("switch")
    switch.run("ip", "link", "add", "bridge", "type", "bridge")
    switch.run("ip", "link", "set", "bridge", "up")
    for node, own in zip(nodes, addresses):
        node.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", node.name, "netns", switch.path)
        switch.run("ip", "link", "set", node.name, "master", "bridge", "up")
        for address in own:
            node.run("ip", "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        node.run("ip", "link", "set", "eth0", "up")
    for node in nodes:
        wait_until(lambda node=node: "multicast ff00::/8 dev eth0" in
                   node.run("ip", "-6", "route", "show", "table", "local"))
    return switch


class ThreeNodes(TwoNodes):
    """Adds self.three, at THIRD. All nodes are on one switch or fabric."""

    def join_nodes(self):
        self.three = Node("node3")
        nodes = (self.one, self.two, self.three)
        addresses = [[f"10.77.0.{number}/24", f"fd77::{number}/64"] for number in (1, 2, 3)]
        if case.over_fabric:
            self.addCleanup(fabric.Fabric(list(zip(nodes, addresses)), interface="eth0").close)
        else:
            self.switch = join_by_switch(nodes, addresses)

    def start_daemons(self):
        super().start_daemons()
        self.ubfd3 = self.start_ubfd(self.three)
