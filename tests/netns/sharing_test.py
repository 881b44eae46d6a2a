#!/usr/bin/python3
"""Ports that several sockets share: of several users (UDP), and of one user's programs with different groups (TCP and
UDP). Sharing helps no user: unknown owners are refused, and a socket elsewhere locks no other user out."""

import ctypes
import pathlib
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import PROJ, V4, V6, WAYS, WILDCARD, Counted, TwoNodes  # noqa: E402
from lab.sending import pktinfo  # noqa: E402

FIRST, SECOND = 9001, 9501  # ports of the server and of the client
HERE = {"v4": "10.77.0.1", "v6": "fd77::1"}  # node1
THERE = {"v4": V4, "v6": V6}
LOOPBACK = {"v4": "127.0.0.1", "v6": "::1"}

SO_ATTACH_REUSEPORT_CBPF, SO_INCOMING_CPU = 51, 49  # asm-generic/socket.h


# --- actions of a person ---

def send_as(handle, source, address, port, text="a forgery", interface=0):
    """Sends a datagram from another address of this node than the socket's own, or through another interface."""
    sock = person._sockets[handle]  # pylint: disable=protected-access
    source4 = ":" not in source
    if source4 and sock.family == socket.AF_INET6:
        source, address = f"::ffff:{source}", f"::ffff:{address}"
    try:
        sock.sendmsg([text.encode()], [pktinfo(source, interface)], 0, (address, port))
    except OSError as error:
        if isinstance(error, (ConnectionError, PermissionError)) or error.errno == 113:
            return None  # the error reports the refusal of an earlier datagram
        return str(error)
    return None


def prefer_cpus(handle, cpu):
    person._sockets[handle].setsockopt(socket.SOL_SOCKET, SO_INCOMING_CPU, cpu)  # pylint: disable=protected-access


def choose(handle, number):
    """Makes the SO_REUSEPORT group hand all packets to its member of this number."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, number))  # BPF_RET | BPF_K
    filter_ = struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
    sock = person._sockets[handle]  # pylint: disable=protected-access
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, filter_)


def address_for(family, across):
    return THERE[family] if across else LOOPBACK[family]


class OfTwoUsers(TwoNodes):
    """Both set SO_REUSEADDR, as all sockets of the lab do, or bind addresses that don't overlap."""

    def assert_forger_is_refused(self, family, across, own, others):
        """bob sends under alice's address. Her socket is bound to `own`, and his to `others`."""
        node = self.one if across else self.two
        here = HERE[family] if across else LOOPBACK[family]
        there = address_for(family, across)
        alice, bob, server = self.person("alice", node), self.person("bob", node), self.person("alice", self.two)
        handle = server.do(person.bound, "udp", there, FIRST)
        alice.do(person.bound, "udp", own, SECOND)
        forger = bob.do(person.bound, "udp", others, SECOND)
        for _ in range(3):
            self.assertIsNone(bob.do(send_as, forger, here, there, FIRST))
            self.assertIsNone(server.do(person.received, handle, timeout=0.2), "a forgery arrived")
        self.assert_denied(self.ubfd2, "reason=shared-port", "connector=shared", "SO_REUSEADDR")
        for one in (alice, bob, server):
            self.dismiss(one)

    def test_the_sender_of_a_shared_port_is_not_known(self):
        for across in (True, False):
            for family in ("v4", "v6"):
                here = HERE[family] if across else LOOPBACK[family]
                elsewhere = (LOOPBACK if across else THERE)[family]
                for own, others in {(here, WILDCARD[family]), (WILDCARD[family], WILDCARD[family]), (here, "::"),
                                    (here, here), (here, elsewhere)}:
                    with self.subTest(f"{'across' if across else 'same node'}: alice {own}, bob {others}"):
                        self.assert_forger_is_refused(family, across, own, others)

    def test_an_interface_of_its_own_makes_no_sender_known_over_ipv4(self):
        server = self.person("alice", self.two)
        handle = server.do(person.bound, "udp", V4, FIRST)
        self.person("alice", self.one).do(person.bound, "udp", "0.0.0.0", SECOND, device="eth0")
        bob = self.person("bob", self.one)
        forger = bob.do(person.bound, "udp", "0.0.0.0", SECOND, device="lo")
        eth0 = bob.do(socket.if_nametoindex, "eth0")
        self.assertIsNone(bob.do(send_as, forger, HERE["v4"], V4, FIRST, interface=eth0))
        self.assert_denied(self.ubfd2, "reason=shared-port")
        self.assertIsNone(server.do(person.received, handle, timeout=0.2), "a forgery arrived")

    def test_nor_does_a_connection_of_the_other_family(self):
        """A socket connected over IPv6 does not claim the port over IPv4, but can still send from it."""
        server, alice, bob = self.person("alice", self.two), self.person("alice", self.one), self.person("bob", self.one)
        handle = server.do(person.bound, "udp", V4, FIRST)
        forger = bob.do(person.bound, "udp", "::", SECOND)
        bob.do(person.connect_bound, forger, V6, 9)
        alice.do(person.bound, "udp", "0.0.0.0", SECOND)
        self.assertIsNone(bob.do(send_as, forger, HERE["v4"], V4, FIRST))
        self.assert_denied(self.ubfd2, "reason=shared-port")
        self.assertIsNone(server.do(person.received, handle, timeout=0.2), "a forgery arrived")

    def test_nor_by_explain(self):
        self.person("alice", self.two).do(person.bound, "udp", V4, FIRST)
        client = self.person("alice", self.one)
        sender = client.do(person.bound, "udp", HERE["v4"], SECOND)
        client.do(person.send_from, sender, V4, FIRST)  # its node vouches only for datagrams that were sent
        ask = {"command": "explain", "protocol": "udp", "to": f"{V4}:{FIRST}", "from": f"{HERE['v4']}:{SECOND}"}
        self.assertEqual(self.ubfd2.ask(**ask)["verdict"]["reason"], "same-user")
        self.person("bob", self.one).do(person.bound, "udp", "::", SECOND)
        answer = self.ubfd2.ask(**ask)
        self.assertEqual((answer["verdict"]["reason"], answer["connector"]["kind"]), ("shared-port", "shared"))
        self.person("bob", self.two).do(person.bound, "udp", "::", FIRST)
        answer = self.ubfd2.ask(**ask)
        self.assertEqual((answer["verdict"]["reason"], answer["listener"]["kind"]), ("shared-port", "shared"))

    def test_the_receiver_of_a_shared_port_is_not_known(self):
        for way in WAYS:
            if way.protocol != "udp":
                continue
            for own, others in {(way.address, WILDCARD[way.family]), (WILDCARD[way.family], way.address),
                                (WILDCARD[way.family], WILDCARD[way.family]), (way.address, "::")}:
                with self.subTest(f"{way}: alice {own}, bob {others}"):
                    alice, bob = self.person("alice", self.two), self.person("bob", self.two)
                    alice.listen("udp", own, FIRST)
                    trap = bob.do(person.bound, "udp", others, FIRST)
                    bob.do(prefer_cpus, trap, 0)
                    client = self.person("alice", self.one if way.across else self.two)
                    with Counted(self.ubfd2) as counted:
                        self.assertEqual(client.connect("udp", way.address, FIRST), way.refused)
                        self.assertIsNone(bob.do(person.received, trap, timeout=0.2))
                    self.assertEqual(set(counted.reasons()), {"shared-port"})
                    for one in (alice, bob, client):
                        self.dismiss(one)

    def test_what_is_allowed_ends_when_its_sender_or_receiver_is_joined(self):
        for end in ("sender", "receiver"):
            with self.subTest(end):
                server, client = self.person("alice", self.two), self.person("alice", self.one)
                server.listen("udp", V4, FIRST)
                seen = client.connect("udp", V4, FIRST, bind=(HERE["v4"], SECOND))
                self.assertEqual(seen, "connected")
                node, port = (self.one, SECOND) if end == "sender" else (self.two, FIRST)
                bob = self.person("bob", node)
                bob.do(person.bound, "udp", "::", port)
                until = time.monotonic() + 14
                while client.say(seen.handle, timeout=0.3) == "hello":
                    self.assertLess(time.monotonic(), until, "it goes on")
                    time.sleep(0.3)
                self.assert_denied(self.ubfd2, "reason=shared-port")
                for one in (server, client, bob):
                    self.dismiss(one)

    def test_a_socket_that_could_not_receive_it_shuts_nobody_out(self):
        for family in ("v4", "v6"):
            others = [{"address": LOOPBACK[family]}, {"address": WILDCARD[family], "device": "lo"}]
            others += [{"address": "::", "v6_only": True}] if family == "v4" else [{"address": "0.0.0.0"}]
            for options in others:
                with self.subTest(f"{family} {options}"):
                    alice, bob = self.person("alice", self.two), self.person("bob", self.two)
                    handle = alice.do(person.bound, "udp", THERE[family], FIRST)
                    bob.do(person.bound, "udp", options.pop("address"), FIRST, **options)
                    client = self.person("alice", self.one)
                    client.do(person.send_to, "udp", THERE[family], FIRST)
                    self.assertEqual(alice.do(person.received, handle), "hello")
                    for one in (alice, bob, client):
                        self.dismiss(one)

    def test_nor_does_one_that_is_connected_to_somebody_else(self):
        alice, bob = self.person("alice", self.two), self.person("bob", self.two)
        handle = alice.do(person.bound, "udp", V4, FIRST)
        bob.do(person.connect_bound, bob.do(person.bound, "udp", V4, FIRST), "10.77.0.99", 9)
        self.person("alice", self.one).do(person.send_to, "udp", V4, FIRST)
        self.assertEqual(alice.do(person.received, handle), "hello")

    def test_nor_is_a_sender_unknown_for_one_of_another_family_or_of_root(self):
        self.person("alice", self.two).listen("udp", V4, FIRST)
        self.person("bob", self.one).do(person.bound, "udp", "::", SECOND, v6_only=True)
        self.person("root", self.one).do(person.bound, "udp", "127.0.0.1", SECOND)
        seen = self.person("alice", self.one).connect("udp", V4, FIRST, bind=(HERE["v4"], SECOND))
        self.assertEqual(seen, "connected")

    def test_sockets_of_one_user_may_share(self):
        for way in WAYS:
            if way.protocol != "udp":
                continue
            node = self.one if way.across else self.two
            servers = [self.person("alice", self.two) for _ in range(2)]
            for server in servers:
                server.listen("udp", WILDCARD[way.family], FIRST, reuse_port=True)
            client, other = self.person("alice", node), self.person("alice", node)
            here = HERE[way.family] if way.across else way.address
            other.do(person.bound, "udp", here, SECOND, reuse_port=True)
            with self.subTest(str(way)):
                self.assertEqual(client.connect("udp", way.address, FIRST, bind=(here, SECOND), reuse_port=True),
                                 "connected")
                self.assertEqual(self.person("bob", node).connect("udp", way.address, FIRST), way.refused)
            for one in (*servers, client, other):
                self.dismiss(one)


class Groups(TwoNodes):
    """alice's programs run under two groups. bob is in one of them, and her socket under that group is the decoy."""

    tries = 5

    def start_two(self, protocol, places, groups, chosen=None):
        """Both listen before any packet arrives; `chosen` gets all packets."""
        people = [self.person("alice", self.two, group=group) for group in groups]
        for place, one in zip(places, people):
            handle = one.listen(protocol, place, FIRST, reuse_port=True)
        if chosen is not None:
            one.do(choose, handle, chosen)
        return people

    def seen_by_bob(self, way):
        bob = self.person("bob", self.one if way.across else self.two)
        seen = {bob.connect(way.protocol, way.address, FIRST) for _ in range(self.tries)}
        self.dismiss(bob)
        return seen

    def assert_decoy_lets_nobody_in(self):
        for way in WAYS:
            for groups, chosen in (((PROJ, None), 1), ((None, PROJ), 0), ((None, PROJ), None)):
                with self.subTest(f"{way} {groups}"):
                    people = self.start_two(way.protocol, [WILDCARD[way.family]] * 2, groups, chosen)
                    self.assertEqual(self.seen_by_bob(way), {way.refused})
                    for one in people:
                        self.dismiss(one)

    def assert_all_let_him_in(self):
        for way in WAYS:
            with self.subTest(str(way)):
                people = self.start_two(way.protocol, [WILDCARD[way.family]] * 2, (PROJ, PROJ), 1)
                for _ in range(2):  # found by a search, then remembered
                    self.assertEqual(self.seen_by_bob(way), {"connected"})
                for one in people:
                    self.dismiss(one)


class OfOneUser(Groups):
    def test_a_decoy_in_a_group_of_sockets_lets_nobody_in(self):
        self.assert_decoy_lets_nobody_in()

    def test_those_that_all_let_somebody_in_let_them_in(self):
        self.assert_all_let_him_in()

    def test_nor_does_one_at_another_address_or_of_another_family(self):
        for way in WAYS:
            for places in {(way.address, WILDCARD[way.family]), (way.address, "::"), (WILDCARD[way.family], way.address)}:
                with self.subTest(f"{way} {places}"):
                    people = self.start_two(way.protocol, places, (PROJ, None))
                    self.assertEqual(self.seen_by_bob(way), {way.refused})
                    for one in people:
                        self.dismiss(one)

    def test_one_that_joins_counts_from_the_next_connection_on_and_no_longer_when_it_is_gone(self):
        for protocol in ("tcp", "udp"):
            way = next(way for way in WAYS if way.protocol == protocol)
            first = self.person("alice", self.two, group=PROJ)
            first.listen(protocol, "0.0.0.0", FIRST, reuse_port=True)
            self.assertEqual(self.seen_by_bob(way), {"connected"}, protocol)
            second = self.person("alice", self.two)
            second.listen(protocol, "0.0.0.0", FIRST, reuse_port=True)
            self.assertEqual(self.seen_by_bob(way), {"EHOSTUNREACH"}, protocol)
            self.dismiss(second)
            self.assertEqual(self.seen_by_bob(way), {"connected"}, protocol)
            self.dismiss(first)

    def test_explain_says_the_same(self):
        for protocol in ("tcp", "udp"):
            with self.subTest(protocol):
                people = self.start_two(protocol, ["0.0.0.0"] * 2, (PROJ, None), 1)
                bob = self.person("bob", self.one)
                handle = bob.do(person.bound, protocol, HERE["v4"], SECOND)
                if protocol == "tcp":
                    bob.do(person.begin, handle, V4, FIRST)
                answer = self.ubfd2.ask(command="explain", protocol=protocol, to=f"{V4}:{FIRST}",
                                        **{"from": f"{HERE['v4']}:{SECOND}"})
                self.assertNotIn("gid", answer["listener"])
                self.assertTrue(any("shares its port with 1 other socket" in step for step in answer["steps"]), answer)
                for one in (*people, bob):
                    self.dismiss(one)

    def test_a_sender_that_shares_its_port_has_what_all_have(self):
        """If carol's program under the group had the port alone, it would be let in."""
        for across in (True, False):
            with self.subTest(across=across):
                node, here = (self.one, HERE["v4"]) if across else (self.two, LOOPBACK["v4"])
                there = address_for("v4", across)
                server = self.person("alice", self.two, group=PROJ)
                server.listen("udp", there, FIRST)
                member, other = self.person("carol", node, groups=[PROJ]), self.person("carol", node)
                self.assertEqual(member.connect("udp", there, FIRST, bind=(here, SECOND)), "connected")
                other.do(person.bound, "udp", "0.0.0.0", SECOND + 1)
                self.assertEqual(member.connect("udp", there, FIRST, bind=(here, SECOND + 1)), "EHOSTUNREACH")
                for one in (server, member, other):
                    self.dismiss(one)


class WithoutRecords(Groups):
    settings = {"owners": {"bpf": False}}

    def test_without_records_it_is_the_same(self):
        self.assert_decoy_lets_nobody_in()
        self.assert_all_let_him_in()


if __name__ == "__main__":
    case.main()
