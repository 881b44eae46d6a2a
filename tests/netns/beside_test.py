#!/usr/bin/python3
"""ubfd beside a site's connection tracking: packets are untracked, in a zone of their own, or tracked strictly."""

import pathlib
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import V4, V6, WAYS, TwoNodes, refused, wait_until  # noqa: E402
from lab.node import Node, join  # noqa: E402

PORT, FROM = 9001, 40777


class Beside(TwoNodes):
    rule = ""  # the site's rule for all packets, before they are tracked

    def join_nodes(self):
        super().join_nodes()
        for node in (self.one, self.two):
            for hook in ("prerouting", "output"):
                node.run("nft", f"add table inet site; add chain inet site {hook} {{ type filter hook {hook} priority raw; }}; "
                                f"add rule inet site {hook} {self.rule}")

    def setUp(self):
        super().setUp()
        self.alice = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            self.alice.listen(protocol, "::", PORT)

    def assert_judges(self):
        for way in WAYS:
            with self.subTest(str(way)):
                node = self.one if way.across else self.two
                seen = self.person("alice", node).connect(way.protocol, way.address, PORT)
                self.assertEqual(seen, "connected")
                self.assertEqual(self.person("bob", node).connect(way.protocol, way.address, PORT), way.refused)

    def assert_nobody_inherits(self):
        """A UDP flow ends with its socket, whoever binds the port next."""
        for family, address in (("v4", V4), ("v6", V6)):
            with self.subTest(address):
                bind = {"v4": "0.0.0.0", "v6": "::"}[family]
                alice = self.person("alice", self.one)
                self.assertEqual(alice.connect("udp", address, PORT, bind=(bind, FROM)), "connected")
                self.dismiss(alice)
                # Until then, the answer to bob's datagram is kept from him, and he waits in vain.
                wait_until(lambda: self.ubfd2.status()["verdicts_in_kernel"]["udp"] == 0)
                bob = self.person("bob", self.one)
                self.assertEqual(bob.connect("udp", address, PORT, bind=(bind, FROM)), refused("udp", family))
                self.dismiss(bob)

    def assert_answers_from_outside_arrive(self):
        outside = Node("outside")
        join(self.one, outside, [("192.168.9.1/24", "192.168.9.2/24"), ("fd09::1/64", "fd09::2/64")], interface="eth1")
        for here, via, there in (("10.77.0.1", "192.168.9.1", "192.168.9.2"), ("fd77::1", "fd09::1", "fd09::2")):
            outside.run("ip", "route", "add", here, "via", via)
            self.one.run("ip", "route", "add", there, "dev", "eth1", "src", here)
        server, alice = self.person("service", outside), self.person("alice", self.one)
        server.listen("udp", "::", 5300)
        alice.listen("udp", "::", PORT)
        for here, there in (("10.77.0.1", "192.168.9.2"), ("fd77::1", "fd09::2")):
            with self.subTest(there):
                self.assertEqual(alice.connect("udp", there, 5300), "connected")
                self.assertNotEqual(server.connect("udp", here, PORT, timeout=1), "connected")


class Untracked(Beside):
    """A busy node may use `notrack` to keep its table small."""

    rule = "notrack"

    def test_where_nothing_is_tracked_it_judges_as_ever(self):
        self.assert_judges()

    def test_where_nothing_is_tracked_nobody_inherits_a_flow(self):
        self.assert_nobody_inherits()

    def test_where_nothing_is_tracked_answers_from_outside_arrive(self):
        self.assert_answers_from_outside_arrive()


class UntrackedPeers(TwoNodes):
    """`peers.notrack` of ubfd itself."""

    settings = {"peers": {"ranges": case.PEERS, "notrack": True}}

    def tracked(self, node):
        return [line for family in ("ipv4", "ipv6") for line in
                node.run("conntrack", "-L", "-p", "tcp", "-f", family).splitlines() if f"dport={PORT}" in line]

    def test_where_tcp_between_peers_is_not_tracked_it_is_judged_as_ever(self):
        alice = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            alice.listen(protocol, "::", PORT)
        for way in case.WAYS:
            node = self.one if way.across else self.two
            with self.subTest(str(way)):
                seen = self.person("alice", node).connect(way.protocol, way.address, PORT)
                self.assertEqual(seen, "connected")
                self.assertEqual(self.person("bob", node).connect(way.protocol, way.address, PORT), way.refused)
        for node in (self.one, self.two):
            self.assertEqual([line for line in self.tracked(node) if "127.0.0.1" not in line and "=::1" not in line], [])

    def test_where_it_is_tracked_that_shows(self):
        self.ubfd2.configure(self.ubfd2.settings | {"peers": {"ranges": case.PEERS}})
        self.ubfd2.reload()
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.assertEqual(self.person("alice", self.one).connect("tcp", V4, PORT), "connected")
        self.assertEqual(len(self.tracked(self.two)), 1)


class Zoned(Beside):
    """Container networks track in zones."""

    rule = "ct zone set 5"

    def test_in_a_zone_it_judges_as_ever(self):
        self.assert_judges()

    def test_in_a_zone_nobody_inherits_a_flow(self):
        self.assert_nobody_inherits()

    def test_in_a_zone_answers_from_outside_arrive(self):
        self.assert_answers_from_outside_arrive()


class Strict(TwoNodes):
    """With nf_conntrack_tcp_loose = 0, a connection that began before conntrack watched is invalid."""

    def test_connections_older_than_ubfd_go_on(self):
        self.ubfd1.stop()
        self.ubfd2.stop()
        for node in (self.one, self.two):
            node.set_sysctl("net.netfilter.nf_conntrack_tcp_loose", "0")
        self.person("alice", self.two).listen("tcp", "::", PORT)
        older = [(someone, someone.connect("tcp", address, PORT).handle)
                 for address in (V4, V6) for someone in [self.person("alice", self.one)]]
        self.ubfd1.start()
        self.ubfd2.start()
        for someone, handle in older:
            for _ in range(3):
                self.assertEqual(someone.say(handle), "hello")
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")


class Others(TwoNodes):
    """The site's own tables may refuse packets as well."""

    def seen(self):
        ubfctl = case.build / "daemon" / "ubfctl"
        told = self.ubfd2.status()["others"]
        checked = self.two.run(ubfctl, "check-config", self.ubfd2.config)
        for other in told:
            self.assertIn(other, checked)
            self.assertIn(other, self.two.run(ubfctl, "--socket", self.ubfd2.socket, "status"))
        return told

    def test_those_that_can_refuse_or_mark_are_named(self):
        self.assertEqual(self.seen(), [])
        self.two.run("nft", "add table inet quiet; add chain inet quiet in { type filter hook input priority 0; }; "
                            "add rule inet quiet in tcp dport 1 accept")
        self.two.run("nft", "add table ip strict; add chain ip strict in { type filter hook input priority 5; policy drop; }; "
                            "add rule ip strict in accept")
        self.two.run("nft", "add table inet zone; add chain inet zone in { type filter hook input priority 10; }; "
                            "add chain inet zone more; add rule inet zone in jump more; "
                            "add rule inet zone more tcp dport 1 reject; add rule inet zone more udp dport 1 meta mark set 5")
        self.two.run("nft", "add table ip6 other; add chain ip6 other out { type filter hook output priority 0; policy drop; }; "
                            "add rule ip6 other out accept")
        wait_until(lambda: len(self.ubfd2.status()["others"]) == 3)
        seen = "\n".join(self.seen())
        for words in ("chain in of table ip strict (input, priority 5) can refuse what ubfd allows, and drops what",
                      "chain in of table inet zone (input, priority 10) can refuse", "table inet zone writes packet marks"):
            self.assertIn(words, seen)
        for table in ("ip strict", "inet zone"):
            self.two.run("nft", f"delete table {table}")
        wait_until(lambda: self.ubfd2.status()["others"] == [])
        self.assertEqual(self.seen(), [])


class Interfaces(TwoNodes):
    """The configuration comes from a machine whose card has another name."""

    settings = {"scope": {"interfaces": ["lo", "eno1"]}}

    def test_an_interface_that_is_not_there_is_named(self):
        words = "scope.interfaces names eno1, which this node does not have: 1 of its 2 interfaces are watched"
        self.ubfd2.wait_for_log(words)
        self.assertTrue(any(words in warning for warning in self.ubfd2.status()["warnings"]))
        ubfctl = case.build / "daemon" / "ubfctl"
        self.assertIn(words, self.two.run(ubfctl, "check-config", self.ubfd2.config))
        self.ubfd2.configure({**self.ubfd2.settings, "scope": {"interfaces": ["lo", "eth0"]}})
        self.ubfd2.reload()
        wait_until(lambda: not any(words in warning for warning in self.ubfd2.status()["warnings"]))


class SomeInterfaces(TwoNodes):
    """A list of the watched interfaces, or of the others, may hold the beginnings of names."""

    settings = {"scope": {"interfaces": ["et*"]}}

    def assert_watched(self, across, local):
        """Whether bob is kept from alice's program, over TCP and UDP, in both families."""
        seen = self.ubfd2.status()["interfaces"]
        self.assertEqual((sorted(seen["watched"]), sorted(seen["unwatched"])), (["eth0"] * across + ["lo"] * local,
                                                                                ["eth0"] * (not across) + ["lo"] * (not local)))
        for way in WAYS:
            with self.subTest(str(way)):
                bob = self.person("bob", self.one if way.across else self.two)
                watched = across if way.across else local
                passed = "timeout" if way.across and way.protocol == "udp" else "connected"  # node1 judges the answer
                self.assertEqual(bob.connect(way.protocol, way.address, PORT), way.refused if watched else passed)
                self.dismiss(bob)

    def test_a_list_may_say_how_their_names_begin_and_may_be_of_those_that_are_not_watched(self):
        alice = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            alice.listen(protocol, "::", PORT)
        self.assert_watched(across=True, local=False)
        for scope, watched in (({"except_interfaces": ["l*"]}, (True, False)), ({"except_interfaces": ["eth0"]}, (False, True)),
                               ({"interfaces": ["lo", "e*"]}, (True, True))):
            self.ubfd2.configure({**self.ubfd2.settings, "scope": scope})
            self.ubfd2.reload()
            self.assert_watched(*watched)


def join_group(group, port):
    """A socket that joins a multicast group, as any user's may."""
    v6 = ":" in group
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("::" if v6 else "0.0.0.0", port))
    index = socket.if_nametoindex("eth0")
    if v6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                        socket.inet_aton(group) + socket.inet_aton("0.0.0.0") + struct.pack("@I", index))
    return person.keep(sock)


def send_to_many(address, port, times=3):
    v6 = ":" in address
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for _ in range(times):
            sock.sendto(b"hello", (address, port, 0, socket.if_nametoindex("eth0")) if v6 else (address, port))


class Multicast(TwoNodes):
    """One datagram for many listeners is dropped, and the log says so."""

    settings = {"scope": {"exempt_ports": ["udp/7100"]}}
    places = (("239.1.2.3", "239.1.2.3:{}"), ("ff15::42", "[ff15::42]:{}"), ("10.77.0.255", "10.77.0.255:{}"))

    def receiver(self, address, port):
        alice = self.person("alice", self.two)
        if address.startswith("10."):
            return alice, alice.do(person.bound, "udp", "0.0.0.0", port)
        return alice, alice.do(join_group, address, port)

    def send(self, address, port):
        self.person("alice", self.one).do(send_to_many, address, port)

    def setUp(self):
        super().setUp()
        self.one.run("ip", "route", "add", "224.0.0.0/4", "dev", "eth0")

    def test_what_is_for_many_is_dropped_and_told_once(self):
        for address, text in self.places:
            with self.subTest(address):
                alice, handle = self.receiver(address, 7001)
                self.send(address, 7001)
                line = f"multicast or broadcast to {text.format(7001)} is dropped"
                self.ubfd2.wait_for_log(line)
                self.send(address, 7001)
                self.assertIsNone(alice.do(person.received, handle, timeout=0.2))
                self.send(address, 7002)
                self.ubfd2.wait_for_log(text.format(7002))
                self.assertEqual(self.ubfd2.log().count(line), 1)

    def test_a_port_that_is_exempt_gets_it(self):
        for address, text in self.places:
            with self.subTest(address):
                alice, handle = self.receiver(address, 7100)
                self.send(address, 7100)
                self.assertEqual(alice.do(person.received, handle), "hello")
        self.assertNotIn("multicast", self.ubfd2.log())

    def test_who_fills_the_set_gets_nothing_through(self):
        """The set holds 256 places. The log gives 32 of them a line each."""
        self.ubfd2.wait_for_log("ready")
        alice, handle = self.receiver("239.1.2.3", 7999)
        bob = self.person("bob", self.one)
        for port in range(7200, 7200 + 300):
            bob.do(send_to_many, "239.1.2.3", port, 1)
        bob.do(send_to_many, "239.1.2.3", 7999)
        self.ubfd2.wait_for_log("more places is dropped")
        self.assertIsNone(alice.do(person.received, handle, timeout=0.2))
        self.assertLessEqual(self.ubfd2.log().count("multicast or broadcast"), 33)


if __name__ == "__main__":
    case.main()
