#!/usr/bin/python3
"""Packets that a node's programs may send: only under the node's own addresses, to peers under a peer's address, and by
protocols that ubfd judges or the site allows. Only an exempt listener may answer from its port."""

import contextlib
import pathlib
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import REFUSED, V4, V6, Counted, TwoNodes, wait_until  # noqa: E402
from lab.sending import named, pktinfo  # noqa: E402
from lab.three_nodes import THIRD, ThreeNodes  # noqa: E402

PORT, THERE = 9001, 9501
IP_FREEBIND, IPV6_FREEBIND = 15, 78  # linux/in.h, linux/in6.h
IPV6_TRANSPARENT, TCP_MD5SIG = 75, 14
L2TP, MPTCP = 115, 262


def open_freely(protocol, source, port=0, kind=None, number=0):
    """Opens, without privilege, a socket bound to any address, even to one that is not this node's."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sock = socket.socket(family, kind or person.TYPES[protocol], number)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    sock.bind(person.resolve(source, port))
    return person.keep(sock)


def say_from(handle, address, port, text="forged"):
    """Returns 'sent', or the name of an errno."""
    sock = person._sockets[handle]  # pylint: disable=protected-access
    return named(sock.sendto, text.encode(), person.resolve(address, port))


def say_in_the_name_of(handle, source, address, port):
    """Sets the source of this one datagram."""
    sock = person._sockets[handle]  # pylint: disable=protected-access
    return named(sock.sendmsg, [b"forged"], [pktinfo(source)], 0, person.resolve(address, port))


def allow_any_source(handle):
    """Needs a privilege."""
    sock = person._sockets[handle]  # pylint: disable=protected-access
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)


def bind_freely(handle, source, port):
    sock = person._sockets[handle]  # pylint: disable=protected-access
    sock.bind(person.resolve(source, port))


def ping(handle, address):
    sock = person._sockets[handle]  # pylint: disable=protected-access
    return named(sock.sendto, struct.pack("!BBHHH", 128, 0, 0, 0, 1), person.resolve(address, 0))


def sign(handle, address):
    """Signs the socket's segments with MD5, if the kernel can. The socket then takes no unsigned segment, not even a
    reset."""
    sock = person._sockets[handle]  # pylint: disable=protected-access
    if ":" in address:
        place = struct.pack("HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address), 0)
    else:
        place = struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(address))
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG,
                        place.ljust(128, b"\0") + struct.pack("BBHi80s", 0, 0, 3, 0, b"key"))


def begin_from(handle, address, port):
    sock = person._sockets[handle]  # pylint: disable=protected-access
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(person.resolve(address, port))


def say_by_protocol(address, number, kind=socket.SOCK_RAW):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind, number) as sock:
        return named(sock.sendto, b"hello", person.resolve(address, 0 if kind == socket.SOCK_RAW else PORT))


def listen_by_protocol(address, number, kind=socket.SOCK_RAW):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind, number)
    sock.bind(person.resolve(address, 0 if kind == socket.SOCK_RAW else PORT))
    return person.keep(sock)


def link_local(node):
    words = node.run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link").split()
    return words[words.index("inet6") + 1].split("/")[0]


class Names(ThreeNodes):
    """A program sends under the address of a node that vouches for the owner of the port there."""

    def setUp(self):
        super().setUp()
        self.alice2, self.alice3 = self.person("alice", self.two), self.person("alice", self.three)
        self.victim = self.alice2.do(person.bound, "udp", "::", THERE)
        self.alice3.do(person.bound, "udp", "::", PORT)  # alice has that port on node3

    def assert_refused(self, ubfd, send):
        with Counted(ubfd) as counted, Counted(self.ubfd2) as seen:
            self.assertEqual(send(), "EPERM")
        self.assertEqual(counted["kernel.forged.packets"], 1)
        self.assertEqual(seen.reasons(), {})
        self.assertIsNone(self.alice2.do(person.received, self.victim, timeout=0.2))

    def test_a_datagram_is_sent_in_its_own_nodes_name(self):
        for node, ubfd in ((self.one, self.ubfd1), (self.two, self.ubfd2)):
            bob = self.person("bob", node)
            handle = bob.do(open_freely, "udp", THIRD["v6"], PORT)
            for address in (V6, "::1") if node is self.two else (V6,):
                with self.subTest(f"{node.name} to {address}"):
                    self.assert_refused(ubfd, lambda: bob.do(say_from, handle, address, THERE))

    def test_so_is_one_whose_source_is_its_own_alone(self):
        bob = self.person("bob", self.one)
        handle = bob.do(open_freely, "udp", "::", PORT)
        self.assert_refused(self.ubfd1, lambda: bob.do(say_in_the_name_of, handle, THIRD["v6"], V6, THERE))

    def test_so_is_one_on_the_link(self):
        if case.over_fabric:  # the lab's fabric has no link-local addresses
            return
        bob = self.person("bob", self.one)
        handle = bob.do(open_freely, "udp", "fe80::bad%eth0", PORT)
        self.assert_refused(self.ubfd1, lambda: bob.do(say_from, handle, f"{link_local(self.two)}%eth0", THERE))

    def test_so_is_one_of_ipv4_by_the_kernel_itself(self):
        bob = self.person("bob", self.one)
        handle = bob.do(open_freely, "udp", THIRD["v4"], PORT)
        self.assertNotEqual(bob.do(say_from, handle, V4, THERE), "sent")
        self.assertIsNone(self.alice2.do(person.received, self.victim, timeout=0.2))

    def test_so_is_the_beginning_of_a_connection(self):
        self.alice2.listen("tcp", "::", THERE)
        bob = self.person("bob", self.one)
        handle = bob.do(open_freely, "tcp", THIRD["v6"], PORT)
        with Counted(self.ubfd1) as counted, Counted(self.ubfd2) as seen, Counted(self.ubfd3) as asked:
            bob.do(begin_from, handle, V6, THERE)
            self.assertEqual(bob.do(person.outcome, handle, timeout=0.5), "timeout")
        self.assertGreaterEqual(counted["kernel.forged.packets"], 1)
        self.assertEqual((seen.reasons(), asked["ident.answers"]), ({}, 0))

    def test_so_is_an_echo_request(self):
        self.one.set_sysctl("net.ipv4.ping_group_range", "0 2147483647")
        bob = self.person("bob", self.one)
        for source, dropped in ((THIRD["v6"], 1), ("fd77::1", 0)):
            handle = bob.do(open_freely, "icmp", source, 0, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
            with Counted(self.ubfd1) as counted:  # the kernel reports no error to the pinging program
                bob.do(ping, handle, V6)
            self.assertEqual(counted["kernel.forged.packets"], dropped)

    def test_what_the_node_forwards_proves_nothing_and_is_let_alone(self):
        if case.over_fabric:  # the fabric delivers by address, and has no route through another node
            return
        for node in (self.one, self.two, self.three):
            node.set_sysctl("net.ipv6.conf.all.accept_redirects", "0")
            node.set_sysctl("net.ipv6.conf.eth0.accept_redirects", "0")
        self.one.set_sysctl("net.ipv6.conf.all.forwarding", "1")
        self.three.run("ip", "-6", "route", "add", f"{V6}/128", "via", "fd77::1")
        self.two.run("ip", "-6", "route", "add", f"{THIRD['v6']}/128", "via", "fd77::1")
        self.alice2.close(self.victim)
        self.alice2.listen("udp", V6, THERE)
        seen = self.alice3.connect("udp", V6, THERE, bind=(THIRD["v6"], PORT + 1))
        self.assertEqual(seen, "connected")
        self.assertEqual(self.alice3.say(seen.handle), "hello")
        bob = self.person("bob", self.one)
        handle = bob.do(open_freely, "udp", THIRD["v6"], PORT + 1)
        with Counted(self.ubfd1) as counted:
            self.assertEqual(bob.do(say_from, handle, V6, THERE), "EPERM")
            self.assertEqual(self.alice3.say(seen.handle), "hello")
        self.assertEqual(counted["kernel.forged.packets"], 1)

    def test_privileged_programs_may_have_a_reason(self):
        """A transparent proxy, whichever user runs it, and root."""
        root, proxy = self.person("root", self.one), self.person("service", self.one)
        handle = proxy.do(person.keep_open, "udp", "::")
        theirs = proxy.hand_over(handle, root)
        root.do(allow_any_source, theirs)
        proxy.do(bind_freely, handle, THIRD["v6"], PORT)
        of_root = root.do(open_freely, "udp", THIRD["v6"], PORT + 1)
        with Counted(self.ubfd1) as counted:
            self.assertEqual(proxy.do(say_from, handle, V6, THERE), "sent")
            self.assertEqual(root.do(say_from, of_root, V6, THERE), "sent")
        self.assertEqual(counted["kernel.forged.packets"], 0)


class Unlisted(TwoNodes):
    """A node has an address that is no peer's. The other node allows all flows from outside."""

    settings = {"policy": {"outside": "allow"}}
    own = {"v4": "10.79.0.1", "v6": "fd79::1"}

    def setUp(self):
        super().setUp()
        for family, address in self.own.items():
            length = 32 if family == "v4" else 128
            self.one.run("ip", "addr", "add", f"{address}/{length}", "dev", "eth0",
                         *(["nodad"] if family == "v6" else []))
            self.two.run("ip", "route", "add", f"{address}/{length}", "dev", "eth0")
        self.alice = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            self.alice.listen(protocol, "::", PORT)

    def test_a_program_speaks_to_a_peer_from_a_peers_address(self):
        bob = self.person("bob", self.one)
        for family, address in (("v4", V4), ("v6", V6)):
            for protocol, refused in (("tcp", REFUSED[family]), ("udp", "EPERM")):
                with self.subTest(f"{protocol} {address}"), Counted(self.ubfd1) as counted:
                    self.assertEqual(bob.connect(protocol, address, PORT, bind=(self.own[family], 0)), refused)
                self.assertGreaterEqual(counted["kernel.unlisted.packets"], 1)  # the SYN may be retransmitted
        self.assertIn("unlisted", self.one.run(case.build / "daemon" / "ubfctl", "--socket", self.ubfd1.socket,
                                               "status"))

    def test_everybody_else_is_let_alone(self):
        root, alice = self.person("root", self.one), self.person("alice", self.one)
        with Counted(self.ubfd1) as counted:
            if not case.over_fabric:  # the fabric has no route back
                for family, address in (("v4", V4), ("v6", V6)):
                    self.assertEqual(root.connect("tcp", address, PORT, bind=(self.own[family], 0)), "connected")
            alice.listen("tcp", "::", PORT)
            for address in ("10.77.0.1", "fd77::1"):  # this node's own addresses
                own = self.own["v6" if ":" in address else "v4"]
                self.assertEqual(alice.connect("tcp", address, PORT, bind=(own, 0)), "connected")
            self.assertEqual(alice.connect("udp", V6, PORT), "connected")
        self.assertEqual(counted["kernel.unlisted.packets"], 0)


class ExemptPlace(TwoNodes):
    """A user binds the port of an exempt listener too, and connects from there."""

    settings = {"policy": {"exempt_listeners": ["service"]}, "scope": {"exempt_ports": ["tcp/9999"]}}

    def serve(self, address, port, sockets):
        """Returns the listener, and another user with sockets at the same port, bound before the listener's."""
        other = self.person("carol", self.two)
        handles = [other.do(person.bound, "tcp", address, port) for _ in range(sockets)]
        server = self.person("service", self.two)
        server.listen("tcp", address, port)
        return other, handles, server

    def learn(self, client, address, port):
        """Returns when the kernel allows all flows to this listener without asking."""
        self.assertEqual(client.connect("tcp", address, port), "connected")
        wait_until(lambda: self.ubfd2.status()["verdicts_in_kernel"]["exempt_listeners"])

    def test_what_answers_from_there_is_the_exempt_users(self):
        places = [("10.77.0.1", V4, self.one), ("fd77::1", V6, self.one), ("127.0.0.1", "127.0.0.1", self.two),
                  ("::1", "::1", self.two)]
        for round_, (here, there, node) in enumerate(places):
            for signed in (False, True):
                with self.subTest(f"{there} signed={signed}"):
                    self.assert_only_the_listener_answers(here, there, node, PORT + 2 * round_ + signed, signed)

    def assert_only_the_listener_answers(self, here, there, node, port, signed, pairs=10):
        carol, handles, server = self.serve(there, port, pairs)
        bob = self.person("bob", node)
        self.learn(bob, there, port)
        first = THERE + pairs * (port - PORT)
        theirs = [bob.do(person.bound, "tcp", here, first + i) for i in range(pairs)]
        if signed:
            for ours, their in zip(handles, theirs):
                carol.do(sign, ours, here)
                bob.do(sign, their, there)
        block = (f"add table inet block; add chain inet block c {{ type filter hook prerouting priority -400; }}; "
                 f"add rule inet block c tcp flags & (syn | ack) == syn tcp dport {{ {port}, "
                 f"{first}-{first + pairs - 1} }} drop")
        for one in (self.one, self.two):
            one.run("nft", block)
        # Bob's SYN comes again before carol's does: hers is refused, and a reset would end the socket that is to answer.
        for i, (ours, their) in enumerate(zip(handles, theirs)):
            bob.do(begin_from, their, there, port)
            carol.do(begin_from, ours, here, first + i)
        with Counted(self.ubfd2) as counted:
            for one in (self.one, self.two):
                one.run("nft", "delete table inet block")
            seen = [carol.do(person.outcome, handle, timeout=4) for handle in handles]
        self.assertNotIn("connected", seen)
        self.assertGreater(counted["kernel.answer_forged.packets"], 0)
        self.assertEqual(self.person("bob", node).connect("tcp", there, port), "connected")
        for somebody in (carol, bob, server):
            self.dismiss(somebody)
        wait_until(lambda: self.ubfd2.status()["verdicts_in_kernel"]["exempt_listeners"] == 0)

    def test_the_listener_answers_in_every_way(self):
        """The listener answers by a SYN cookie, which no socket sends, and on several addresses. Another user had the
        port before."""
        for cookies in ("1", "2"):
            self.two.set_sysctl("net.ipv4.tcp_syncookies", cookies)
            carol, _, server = self.serve("::", PORT, 1)
            bob = self.person("bob", self.one)
            with Counted(self.ubfd2) as counted:
                for _ in range(3):
                    for address in (V4, V6):
                        self.learn(bob, address, PORT)
            self.assertEqual(counted["kernel.answer_forged.packets"], 0)
            for somebody in (carol, bob, server):
                self.dismiss(somebody)
            wait_until(lambda: self.ubfd2.status()["verdicts_in_kernel"]["exempt_listeners"] == 0)
            # The next owner gets the port.
            alice = self.person("alice", self.two)
            alice.listen("tcp", "::", PORT)
            with Counted(self.ubfd2) as counted:
                for address in (V4, V6):
                    self.assertEqual(self.person("alice", self.one).connect("tcp", address, PORT), "connected")
            self.assertEqual(counted["kernel.answer_forged.packets"], 0)
            self.dismiss(alice)

    def test_a_listener_of_multipath_tcp_answers(self):
        try:
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP).close()
        except OSError:
            return self.leave_it_to_a_guest("no MPTCP in this kernel")
        server, bob = self.person("service", self.two), self.person("bob", self.one)
        server.listen("tcp", "::", PORT, number=MPTCP)
        with Counted(self.ubfd2) as counted:
            for _ in range(3):
                for address in (V4, V6):
                    self.assertEqual(bob.connect("tcp", address, PORT, number=MPTCP), "connected")
        self.assertEqual(counted["kernel.answer_forged.packets"], 0)
        return None


class Protocols(TwoNodes):
    """Protocols other than TCP and UDP, whose users ubfd can't tell."""

    settings = {"scope": {"protocols": ["gre", 253]}}

    def test_only_those_that_the_site_names_come_in(self):
        root, there = self.person("root", self.one), self.person("root", self.two)
        for address in (V4, V6):
            for number, passes in ((47, True), (253, True), (L2TP, False), (50, False), (89, False), (254, False)):
                with self.subTest(f"{number} {address}"):
                    trap = there.do(listen_by_protocol, address, number)
                    with Counted(self.ubfd2) as counted:
                        self.assertEqual(root.do(say_by_protocol, address, number), "sent")
                        self.assertEqual(there.do(person.arrived, trap, timeout=0.5), passes)
                    self.assertEqual(counted["kernel.other_protocols.packets"], 0 if passes else 1)
                    there.close(trap)

    def test_so_do_those_on_the_way_out_that_users_have_sockets_of(self):
        """A raw socket that root made is root's even in a user's hands. Any user can make a UDP-Lite socket."""
        bob, root = self.person("bob", self.one), self.person("root", self.one)
        for address in (V4, V6):
            try:
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE).close()
            except OSError:
                return self.leave_it_to_a_guest("no UDP-Lite in this kernel")
            with Counted(self.ubfd1) as counted:
                self.assertEqual(bob.do(say_by_protocol, address, socket.IPPROTO_UDPLITE, socket.SOCK_DGRAM), "EPERM")
                self.assertEqual(root.do(say_by_protocol, address, L2TP), "sent")
            self.assertEqual(counted["kernel.protocols_out.packets"], 1)
        return None

    def test_a_ping_passes_for_everybody(self):
        self.one.set_sysctl("net.ipv4.ping_group_range", "0 2147483647")
        bob = self.person("bob", self.one)
        handle = bob.do(open_freely, "icmp", "fd77::1", 0, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
        self.assertEqual(bob.do(ping, handle, V6), "sent")
        self.assertTrue(bob.do(person.arrived, handle))


if __name__ == "__main__":
    case.main()
