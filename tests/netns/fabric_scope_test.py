#!/usr/bin/python3
"""The watched part of the fabric: management, partitions, interfaces, and RoCE."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import PROJ, REFUSED, Counted, refused  # noqa: E402
from lab.fabric import V4, V6  # noqa: E402
from lab.on_fabric import MORE, PORT, Fabric  # noqa: E402

FABRIC = {"v4": V4, "v6": V6}
ROCE = 4791


class Management(Fabric):
    """ident for the fabric's addresses goes over the management network."""

    settings = {"fabric": {"management": {"10.78.0.0/24": "10.77.0.0/24", "fd78::/64": "fd77::/64"}}}

    def setUp(self):
        super().setUp()
        for node in (self.one, self.two):
            node.run("nft", "add table inet block; add chain inet block c { type filter hook prerouting priority -400; "
                            "}; add rule inet block c iifname ib0 udp dport 1017 counter drop")

    def test_answers_for_the_fabric(self):
        for family, address in FABRIC.items():
            for protocol in ("tcp", "udp"):
                self.talk("alice", address, protocol)
                self.assertEqual(self.person("bob", self.one).connect(protocol, address, PORT), refused(protocol, family))
        self.assertIn("packets 0 ", self.two.run("nft", "list", "chain", "inet", "block", "c"))

    def test_tells_of_sockets_that_are_gone(self):
        server, client = self.person("alice", self.two), self.person("alice", self.one)
        handle = server.do(person.bound, "udp", V4, PORT)
        sender = client.do(person.bound, "udp", "10.78.0.1", MORE)
        client.do(person.send_from, sender, V4, PORT)
        self.assertEqual(server.do(person.received, handle), "hello")
        client.close(sender)
        time.sleep(0.4)
        thief = self.person("bob", self.one)
        forged = thief.do(person.bound, "udp", "10.78.0.1", MORE)
        for _ in range(5):
            thief.do(person.send_from, forged, V4, PORT, "a forgery")
        self.assertIsNone(server.do(person.received, handle, timeout=0.3))


class Partition(Fabric):
    """ib0 is in the partition 0x8001, ib0.8002 in 0x8002."""

    settings = {"fabric": {"pkeys": ["0x8002"]},
                "policy": {"labels": {"pkey:0x8002": {"allow": ["alice", "bob"]}}}}
    CHILD = [("10.79.0.1/24", "10.79.0.2/24")]

    def setUp(self):
        super().setUp()
        self.join_by_fabric(self.CHILD, interface="ib0.8002", pkey=0x8002)

    def start_ubfd(self, node, settings=None, **options):
        settings = self.settings if settings is None else settings
        fabric = {"peers": ["10.78.0.0/24", "fd78::/64", "10.79.0.0/24"]}
        return super().start_ubfd(node, settings | {"fabric": settings["fabric"] | fabric}, **options)

    def test_is_a_label_of_both_ends_of_what_it_carries(self):
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two).listen(protocol, "0.0.0.0", PORT)
            bob, carol = self.person("bob", self.one), self.person("carol", self.one)
            with Counted(self.ubfd2) as counted:
                self.assertEqual(bob.connect(protocol, "10.79.0.2", PORT), "connected")
                self.assertEqual(bob.connect(protocol, V4, PORT), refused(protocol, "v4"))
                self.assertEqual(carol.connect(protocol, "10.79.0.2", PORT), refused(protocol, "v4"))
            self.assertEqual(counted.reasons(), {"same-label": 1, "different-user": 2})
        self.assert_denied(self.ubfd2, "connector=carol", "pkey:0x8002 in common, which counts for nothing")

    def test_is_one_that_ubfd_explains(self):
        self.person("alice", self.two).listen("tcp", "10.79.0.2", PORT)
        bob = self.person("bob", self.one)
        seen = bob.connect("tcp", "10.79.0.2", PORT)
        here = "{}:{}".format(*bob.do(person.local_address, seen.handle))
        answer = self.ubfd2.ask(command="explain", **{"from": here}, to=f"10.79.0.2:{PORT}", protocol="tcp")
        self.assertEqual(answer["verdict"]["reason"], "same-label", answer)
        self.assertIn("it comes in over the fabric: [fabric] holds", answer["steps"])


class Scope(Fabric):
    settings = {"fabric": {"ports": ["9000-9099"], "exempt_ports": ["tcp/9050"], "reasons": ["same-user"],
                           "exempt_listeners": ["service"]}}

    def see(self, user, port, fabric, ethernet):
        """The user's view over each network."""
        client = self.person(user, self.one)
        self.assertEqual((client.connect("tcp", V4, port), client.connect("tcp", case.V4, port)), (fabric, ethernet))

    def test_is_the_fabrics_own(self):
        denied = REFUSED["v4"]
        server = self.person("alice", self.two)
        for port in (9001, 9050, 8001):
            server.listen("tcp", "0.0.0.0", port)
        self.see("bob", 9001, denied, denied)
        self.see("bob", 9050, "connected", denied)
        self.see("bob", 8001, "connected", denied)
        self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", 9002)
        self.see("bob", 9002, denied, "connected")
        self.person("service", self.two).listen("tcp", "0.0.0.0", 9003)
        self.see("carol", 9003, "connected", denied)

    def test_holds_for_interfaces_that_come_later(self):
        self.fabric.close()
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        self.join_by_fabric([("10.78.0.1/24", "10.78.0.2/24")], interface="ib7")
        self.assertEqual(self.person("alice", self.one).connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), REFUSED["v4"])
        self.assertEqual(self.tracked(self.two), [])


class Roce(Fabric):
    def test_no_program_makes_datagrams_of_it(self):
        root = self.person("root", self.two)
        for address in (case.V4, case.V6, V4):
            trap = root.do(person.bound, "udp", address, ROCE)
            for user in ("bob", "root"):
                sender = self.person(user, self.one)
                with Counted(self.ubfd1) as counted:
                    handle = sender.do(person.bound, "udp", "::" if ":" in address else "0.0.0.0", 0)
                    sender.do(person.send_from, handle, address, ROCE)
                self.assertEqual(counted["kernel.roce_forged.packets"], 1)
            self.assertIsNone(root.do(person.received, trap, timeout=0.2))


if __name__ == "__main__":
    case.main()
