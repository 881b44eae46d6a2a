#!/usr/bin/python3
"""The lab's fabric looks like IPoIB to the kernel and to ubfd, and ubfd's promise holds over it."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import Node, case, fabric  # noqa: E402
from lab.case import Case, refused  # noqa: E402
from lab.fabric import Fabric, TwoNodesOnFabric, hardware_of  # noqa: E402

V = {"v4": fabric.V4, "v6": fabric.V6}


class Link(TwoNodesOnFabric):
    def start_daemons(self):
        self.fabric = self.join_by_fabric(fabric.ADDRESSES)

    def link(self, node, interface="ib0"):
        return json.loads(node.run("ip", "-j", "-d", "link", "show", interface, env=hardware_of(node)))[0]

    def test_it_is_of_the_link_type_of_infiniband(self):
        for node in (self.one, self.two):
            link = self.link(node)
            self.assertEqual((link["link_type"], link["mtu"]), ("infiniband", 2044))

    def test_its_broadcast_address_names_the_partition(self):
        self.join_by_fabric([("10.79.0.1/24", "10.79.0.2/24")], interface="ib0.8002", pkey=0x8002)
        for interface, pkey in (("ib0", "80:01"), ("ib0.8002", "80:02")):
            link = self.link(self.two, interface)
            self.assertEqual(link["broadcast"], f"00:ff:ff:ff:ff:12:40:1b:{pkey}:00:00:00:00:00:00:ff:ff:ff:ff")
            self.assertEqual(len(link["address"].split(":")), 20)
        self.assertNotIn("802", self.link(self.two, "lo")["broadcast"])

    def test_large_packets_and_many_of_them_arrive(self):
        alice, her = self.person("alice", self.one), self.person("alice", self.two)
        for family, address in V.items():
            her.listen("tcp", address, 7001)
            her.listen("udp", address, 7001)
            for protocol in ("tcp", "udp"):
                seen = alice.connect(protocol, address, 7001)
                self.assertEqual(seen, "connected", family)
                for text in ("x" * 1900, "y" * 30000):  # the second in several packets
                    self.assertEqual(alice.say(seen.handle, text)[:1900], text[:1900])

    def test_a_rule_for_its_link_type_sees_its_packets(self):
        self.two.run("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }; "
                     "add rule inet t c meta iiftype 32 counter")
        her = self.person("alice", self.two)
        her.listen("udp", fabric.V4, 7001)
        self.assertEqual(self.person("alice", self.one).connect("udp", fabric.V4, 7001), "connected")
        self.assertRegex(self.two.run("nft", "list", "ruleset"), "packets [1-9]")


class Switch(Case):
    def test_a_packet_goes_to_the_node_of_its_destination_and_to_no_other(self):
        nodes = [Node(f"node{number}") for number in (1, 2, 3)]
        switch = Fabric([(node, [f"10.78.0.{number}/24"]) for number, node in enumerate(nodes, 1)])
        self.addCleanup(switch.close)
        for number, node in enumerate(nodes, 1):
            self.person("alice", node).listen("udp", f"10.78.0.{number}", 7001)

        def received():
            return [int(node.run("cat", "/proc/net/dev").split("ib0:")[1].split()[1]) for node in nodes]

        before = received()
        self.assertEqual(self.person("bob", nodes[0]).connect("udp", "10.78.0.3", 7001), "connected")
        self.assertEqual([now - then for then, now in zip(before, received())], [1, 0, 1])


class Promise(TwoNodesOnFabric):
    """ubfd promises the same over the fabric as over Ethernet."""

    def test_a_user_reaches_the_same_users_listener_and_another_does_not(self):
        her = self.person("alice", self.two)
        alice, bob = self.person("alice", self.one), self.person("bob", self.one)
        for protocol in ("tcp", "udp"):
            for family, address in V.items():
                her.listen(protocol, address, 7001)
                self.assertEqual(alice.connect(protocol, address, 7001), "connected", f"{protocol} {address}")
                self.assertEqual(bob.connect(protocol, address, 7001), refused(protocol, family), f"{protocol} {address}")
                self.assert_denied(self.ubfd2, "connector=bob", "listener=alice", address)
        self.assertEqual(bob.connect("tcp", fabric.V4, 7002), case.CLOSED)


if __name__ == "__main__":
    case.main()
