#!/usr/bin/python3
"""Addresses and ports that the site translates (NAT): at the listener's node, at the connector's, or on the way. The
connector is asked for by the flow of its own socket, since two of them may share one behind the translation. IPVS also
forwards packets to another node, which judges them."""

import gzip
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import CLOSED, REFUSED, V4, V6, Counted, OnASwitch, TwoNodes, refused, wait_until  # noqa: E402
from lab.node import Node, join  # noqa: E402
from lab.tree import Trouble  # noqa: E402

PORT, PUBLISHED, EXEMPT = 8000, 8080, 8090
FROM = 40777  # two sockets' port
VIP = {"v4": "10.99.0.1", "v6": "fd99::1"}  # no node's address
WAYS = [("v4", V4, True), ("v6", V6, True), ("v4", "127.0.0.1", False), ("v6", "::1", False), ("v4", V4, False),
        ("v6", V6, False)]


class Translated(TwoNodes):
    def setUp(self):
        super().setUp()
        self.alice = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            self.alice.listen(protocol, "::", PORT)

    def translate(self, node, hook, rule, priority=-100):
        node.run("nft", f"add table inet site; add chain inet site {hook} {{ type nat hook {hook} priority {priority}; }}; "
                        f"add rule inet site {hook} {rule}")


class AtTheListener(Translated):
    """REDIRECT, as container engines and port forwards use it."""

    def setUp(self):
        super().setUp()
        for hook in ("prerouting", "output"):
            for protocol in ("tcp", "udp"):
                self.translate(self.two, hook, f"{protocol} dport {PUBLISHED} redirect to :{PORT}")

    def reason(self, reason, across):
        """Some kernels don't tell the original destination of an incoming packet, so the reason is 'translated'. The
        guest's kernel in tests/vm does."""
        config = pathlib.Path("/proc/config.gz")
        tells = case.in_guest() or not config.exists() or b"NETLINK_GLUE_CT=y" in gzip.decompress(config.read_bytes())
        return reason if tells or not across else "translated"

    def test_the_same_user_connects(self):
        for family, address, across in WAYS:
            reason = self.reason("same-user", across)
            with self.subTest(f"{address} {across}"), Counted(self.ubfd2) as counted:
                alice = self.person("alice", self.one if across else self.two)
                self.assertEqual(alice.connect("tcp", address, PUBLISHED),
                                 "connected" if reason == "same-user" else REFUSED[family])
            self.assertEqual(counted.reasons(), {reason: 1})

    def test_another_user_is_refused_by_name(self):
        for family, address, across in WAYS:
            with self.subTest(f"{address} {across}"), Counted(self.ubfd2) as counted:
                bob = self.person("bob", self.one if across else self.two)
                self.assertEqual(bob.connect("tcp", address, PUBLISHED), REFUSED[family])
            self.assertEqual(counted.reasons(), {self.reason("different-user", across): 1})
        self.assert_denied(self.ubfd2, "connector=bob", "reason=different-user")

    def test_whose_port_another_user_has_as_well_is_nobody_else(self):
        """Behind the translation the two flows look the same."""
        for family, address, across in WAYS:
            with self.subTest(f"{address} {across}"):
                node = self.one if across else self.two
                alice, bob = self.person("alice", node), self.person("bob", node)
                node.set_sysctl("net.ipv4.ip_local_port_range", f"{FROM} {FROM}")
                first = alice.connect("tcp", address, PORT)
                self.assertEqual((first, alice.do(person.local_address, first.handle)[1]), ("connected", FROM))
                with Counted(self.ubfd2) as counted:
                    self.assertEqual(bob.connect("tcp", address, PUBLISHED), REFUSED[family])
                node.set_sysctl("net.ipv4.ip_local_port_range", "32768 60999")
                self.assertEqual(counted.reasons(), {self.reason("different-user", across): 1})

    def test_of_a_datagram_it_is_not_known(self):
        for family, address, across in WAYS:
            for user in ("alice", "bob"):
                with self.subTest(f"{user} {address} {across}"), Counted(self.ubfd2) as counted:
                    sender = self.person(user, self.one if across else self.two)
                    self.assertEqual(sender.connect("udp", address, PUBLISHED), refused("udp", family))
                self.assertEqual(counted.reasons(), {"translated": 1})
        self.assert_denied(self.ubfd2, "reason=translated", "Address translation")


class ToAnExemptPort(Translated):
    """The answers to datagrams come from the published port."""

    settings = {"scope": {"exempt_ports": [EXEMPT, PUBLISHED]}}

    def test_what_is_published_there_is_everybodys(self):
        for hook in ("prerouting", "output"):
            for protocol in ("tcp", "udp"):
                self.translate(self.two, hook, f"{protocol} dport {PUBLISHED} redirect to :{EXEMPT}")
        for protocol in ("tcp", "udp"):
            self.alice.listen(protocol, "::", EXEMPT)
        for _, address, across in WAYS:
            for protocol in ("tcp", "udp"):
                if protocol == "udp" and not across and address in (V4, V6):
                    continue  # redirected to loopback, but answered from another address: no firewall can help
                with self.subTest(f"{protocol} {address} {across}"):
                    bob = self.person("bob", self.one if across else self.two)
                    self.assertEqual(bob.connect(protocol, address, PUBLISHED), "connected")


class AtTheConnector(Translated):
    def test_a_virtual_address(self):
        for family, to, address in (("ip", VIP["v4"], V4), ("ip6", VIP["v6"], f"[{V6}]")):
            self.translate(self.one, "output", f"{family} daddr {to} tcp dport {PUBLISHED} dnat {family} to {address}:{PORT}")
            self.one.run("ip", "-6" if family == "ip6" else "-4", "route", "add", to, "dev", "eth0")
        for family, to in VIP.items():
            with self.subTest(to), Counted(self.ubfd2) as counted:
                self.assertEqual(self.person("alice", self.one).connect("tcp", to, PUBLISHED), "connected")
                self.assertEqual(self.person("bob", self.one).connect("tcp", to, PUBLISHED), REFUSED[family])
            self.assertEqual(counted.reasons(), {"same-user": 1, "different-user": 1})

    def test_another_source(self):
        self.one.run("ip", "address", "add", "10.77.0.101/24", "dev", "eth0")
        self.one.run("ip", "address", "add", "fd77::101/64", "dev", "eth0", "nodad")
        for family, source in (("ip", "10.77.0.101"), ("ip6", "fd77::101")):
            self.translate(self.one, "postrouting", f"meta l4proto tcp snat {family} to {source}", 100)
        for family, address in (("v4", V4), ("v6", V6)):
            with self.subTest(address), Counted(self.ubfd2) as counted:
                self.assertEqual(self.person("alice", self.one).connect("tcp", address, PORT), "connected")
                self.assertEqual(self.person("bob", self.one).connect("tcp", address, PORT), REFUSED[family])
            self.assertEqual(counted.reasons(), {"same-user": 1, "different-user": 1})


class OnTheWay(Translated):
    """A head node forwards and masquerades for a host without a reachable ubfd."""

    def test_whom_a_node_forwards_nobody_knows(self):
        outside = Node("outside")
        join(self.one, outside, [("192.168.9.1/24", "192.168.9.2/24"), ("fd09::1/64", "fd09::2/64")], interface="eth1")
        outside.run("ip", "route", "add", "default", "via", "192.168.9.1")
        outside.run("ip", "-6", "route", "add", "default", "via", "fd09::1")
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.one.set_sysctl(name, "1")
        self.translate(self.one, "postrouting", "oifname eth0 masquerade", 100)
        for family, address in (("v4", V4), ("v6", V6)):
            with self.subTest(address), Counted(self.ubfd2) as counted:
                self.assertEqual(self.person("alice", outside).connect("tcp", address, PORT), REFUSED[family])
            self.assertEqual(counted.reasons(), {"translated": 1})
        self.assert_denied(self.ubfd2, "reason=translated")


class Balanced(OnASwitch):
    """node2 is the director of LVS, and node3 the real server. Both have the service's address."""

    SERVICE = {"v4": "10.77.0.100", "v6": "fd77::64"}
    settings = {"policy": {"exempt_listeners": [f"service@{address}" for address in ("10.77.0.100", "fd77::64")]}}

    def setUp(self):
        super().setUp()
        for name in ("arp_ignore=1", "arp_announce=2"):
            self.three.set_sysctl(*f"net.ipv4.conf.all.{name}".split("="))
        for node, interface in ((self.two, "eth0"), (self.three, "lo")):
            for family, address in self.SERVICE.items():
                node.run("ip", "address", "add", f"{address}/{32 if family == 'v4' else 128}", "dev", interface,
                         *(["nodad"] if family == "v6" else []))
        try:
            self.two.run("ipvsadm", "--clear")
        except Trouble as trouble:
            self.leave_it_to_a_guest(f"this kernel has no IPVS: {trouble}")
        self.ubfds = [self.start_ubfd(node) for node in self.nodes]

    def serve(self, port, server, how, protocol="tcp"):
        """server: the number of its node."""
        for family, address in self.SERVICE.items():
            place = "[{}]:{}" if family == "v6" else "{}:{}"
            real = f"fd77::{server}" if family == "v6" else f"10.77.0.{server}"
            self.two.run("ipvsadm", "-A", f"-{protocol[0]}", place.format(address, port), "-s", "rr")
            self.two.run("ipvsadm", "-a", f"-{protocol[0]}", place.format(address, port), "-r",
                         place.format(real, PORT if how == "-m" else port), how)

    def test_a_service_of_ipvs_passes_the_director(self):
        """When the service is deleted, its port is closed again within a second."""
        self.person("service", self.three).listen("tcp", "::", PORT)
        self.serve(PORT, 3, "-g")
        bob = self.person("bob", self.one)
        for address in self.SERVICE.values():
            with self.subTest(address), Counted(self.ubfds[1]) as director, Counted(self.ubfds[2]) as server:
                self.assertEqual(bob.connect("tcp", address, PORT), "connected")
                self.assertEqual(bob.connect("tcp", address, PORT + 1), CLOSED)
            self.assertEqual(director.reasons(), {"exempt-listener": 1, "no-listener": 1})
            self.assertEqual(server.reasons(), {"exempt-listener": 1})
        answer = self.ubfds[1].ask(command="explain", **{"from": "10.77.0.1:50000", "to": f"{self.SERVICE['v4']}:{PORT}",
                                                         "protocol": "tcp"})
        self.assertEqual((answer["listener"]["kind"], answer["verdict"]["reason"]), ("kernel", "exempt-listener"), answer)
        self.two.run("ipvsadm", "--clear")
        wait_until(lambda: bob.connect("tcp", self.SERVICE["v4"], PORT) == CLOSED, 3)

    def test_no_service_of_ipvs_lets_in_whom_nobody_has_judged(self):
        """The server refuses, since its question goes to an address that the director has too. A director that is also
        the server refuses as well: IPVS would hand the packet to a listener behind our rules."""
        self.person("alice", self.three).listen("tcp", "::", PORT)
        self.serve(PORT, 3, "-g")
        self.person("alice", self.two).listen("tcp", "10.77.0.2", PORT)
        self.person("alice", self.two).listen("tcp", "fd77::2", PORT)
        self.serve(PUBLISHED, 2, "-m")
        bob = self.person("bob", self.one)
        for address in self.SERVICE.values():
            with self.subTest(address), Counted(self.ubfds[1]) as director, Counted(self.ubfds[2]) as server:
                self.assertNotEqual(bob.connect("tcp", address, PORT), "connected")
                self.assertEqual(bob.connect("tcp", address, PUBLISHED), CLOSED)
            self.assertLessEqual(set(server.reasons()), {"no-answer", "no-answer-yet"})
            self.assertEqual(director.reasons()["no-listener"], 1)

    def test_datagrams_of_a_service_take_an_exempt_port(self):
        self.serve(PORT, 3, "-g", "udp")
        bob = self.person("bob", self.one)
        for address in self.SERVICE.values():
            self.person("service", self.three).listen("udp", address, PORT)
            self.assertNotEqual(bob.connect("udp", address, PORT), "connected")
        for ubfd in self.ubfds:
            ubfd.configure({**ubfd.settings, "scope": {"exempt_ports": [f"udp/{PORT}"]}})
            ubfd.reload()
        for address in self.SERVICE.values():
            self.assertEqual(bob.connect("udp", address, PORT), "connected")


if __name__ == "__main__":
    case.main()
