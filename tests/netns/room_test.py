#!/usr/bin/python3
"""Tables that all users share: one user fills their share, and every other user's first packet is still answered. UDP
shows this best, since a lost datagram is not retransmitted."""

import contextlib
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load, person  # noqa: E402
from lab.case import PROJ, V4, V6, TwoNodes, wait_until  # noqa: E402
from lab.node import Node, join  # noqa: E402

PORT, TARGET = 9001, 9002
ATTEMPTS = 18
IP_TRANSPARENT, IPV6_FREEBIND = 19, 78  # linux/in.h, linux/in6.h


# --- actions of people ---

def send_in_the_name_of(addresses, target, port, per_address):
    """Sends datagrams from many ports of each address; the addresses need not be this node's."""
    for number in range(per_address):
        for address in addresses:
            v6 = ":" in address
            with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
                if v6:
                    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
                else:
                    sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
                sock.bind((address, 20000 + number))
                sock.sendto(b"x", (target, port))


def say_hello(protocol, address, port, count, tries=1):
    """Sends from `count` sockets, one after the other, and retries if nothing came back. Returns the final outcomes."""
    seen = []
    for _ in range(count):
        for _ in range(tries):
            result = person.connect(protocol, address, port, timeout=5)
            person.close(result["handle"])
            if result["text"] != "timeout":
                break
        seen.append(result["text"])
    return seen


def hold(address, count):
    """Opens as many UDP sockets."""
    for number in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 10000 + number))
        person.keep(sock)


def send_to_each(address, ports, seconds):
    """Begins UDP flows all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for port in ports:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                with contextlib.suppress(OSError):
                    sock.sendto(b"x", (address, port))


class Room(TwoNodes):
    """node3 is another peer, and shares a network with node2 only."""

    settings = {"peers": {"ranges": [*case.PEERS, "10.79.0.0/24", "fd79::/64"]}, "queue": {"count": 1},
                "owners": {"bpf": False}}
    third = {"v4": "10.79.0.2", "v6": "fd79::2"}  # node2's addresses on that network

    def setUp(self):
        super().setUp()
        self.three = Node("node3")
        join(self.three, self.two, [("10.79.0.3/24", "10.79.0.2/24"), ("fd79::3/64", "fd79::2/64")],
             interface="eth1")
        self.ubfd3 = self.start_ubfd(self.three)
        carol = self.person("carol", self.two)
        for protocol in ("tcp", "udp"):
            carol.listen(protocol, "::", PORT)
        self.carol = self.person("carol", self.three)

    def assert_all_get_through(self, client, address, port=PORT, **options):
        for protocol in ("udp", "tcp"):
            seen = client.do(say_hello, protocol, address, port, ATTEMPTS, **options)
            self.assertEqual(seen, ["connected"] * ATTEMPTS, protocol)

    def peers(self):
        return {peer["address"]: peer for peer in self.ubfd2.status(peers=True)["peers"]}


class OfTheUnproven(Room):
    """node1 is hostile and runs no ubfd: it sends under addresses that no node has."""

    def setUp(self):
        super().setUp()
        self.ubfd1.stop()
        self.person("alice", self.two).listen("udp", "::", TARGET, answer=False)
        self.bogus = {"v4": [f"10.77.0.{n}" for n in range(100, 160)], "v6": [f"fd77::{n:x}" for n in range(256, 316)]}

    def flood(self, family, per_address):
        attacker = self.person("root", self.one)
        target = {"v4": V4, "v6": V6}[family]
        return attacker.begin(send_in_the_name_of, self.bogus[family], target, TARGET, per_address)

    def test_a_peer_that_has_answered_is_asked_in_a_flood_of_datagrams_in_nobodys_name(self):
        for family in ("v4", "v6"):
            with self.subTest(family):
                self.assert_all_get_through(self.carol, self.third[family])
                self.flood(family, 60)()
                self.assert_all_get_through(self.carol, self.third[family])
                self.assertEqual(self.peers()[{"v4": "10.79.0.3", "v6": "fd79::3"}[family]]["timeouts"], 0)

    def test_a_peer_that_was_never_asked_is_asked_in_that_flood(self):
        for family in ("v4", "v6"):
            with self.subTest(family):
                finish = self.flood(family, 120)
                wait_until(lambda: len(self.peers()) > 30, 10, "the flood")
                self.assert_all_get_through(self.carol, self.third[family])
                finish()

    def test_a_peer_that_has_asked_is_proven(self):
        """carol on node2 connects to node3 first. node3 then asks node2, but no node asks node3."""
        server = self.person("carol", self.three)
        server.listen("tcp", "::", PORT)
        self.assertEqual(self.person("carol", self.two).connect("tcp", "10.79.0.3", PORT), "connected")
        self.assertNotIn("10.79.0.3", self.peers())
        self.flood("v4", 60)()
        self.assert_all_get_through(self.carol, self.third["v4"])
        self.assertEqual(self.peers()["10.79.0.3"]["timeouts"], 0)


class OfManySockets(Room):
    """The kernel lists the UDP sockets of a port by walking through all that the node has."""

    def test_connections_go_on_while_a_user_has_very_many(self):
        for number in range(6):
            self.person("bob", self.two, descriptors=20000).do(hold, f"127.1.{number}.1", 19000)
        bob, ports = self.person("bob", self.two), range(40000, 40064)
        for port in ports:
            bob.do(person.bound, "udp", "127.0.0.1", port)
        finish = bob.begin(send_to_each, "127.0.0.1", ports, 25)
        wait_until(lambda: sum(self.ubfd2.status()["reasons"].values()) > 64, 20, "the flood")
        times = sorted(self.carol.do(load.connect_times, self.third["v4"], PORT, 20))
        finish()
        print(f"{len(times)} connections, p50 {times[len(times) // 2] * 1000:.1f} ms, slowest {times[-1] * 1000:.0f} ms")
        self.assertEqual(len(times), 20)
        self.assertLess(times[15], 0.5)
        self.assertEqual(self.ubfd2.status()["threads"]["stalls"], 0)


class OfOneNode(Room):
    """A user of node1 opens more connections than ubfd can look into."""

    def setUp(self):
        super().setUp()
        self.storm = case.build / "tests" / "bench" / "storm"
        for node in (self.one, self.two):
            node.set_sysctl("net.ipv4.ip_local_port_range", "10000 60999")
        self.person("alice", self.two, group=PROJ).listen("tcp", "::", TARGET, backlog=1024)

    def start_storm(self, user):
        """Starts connections that ubfd refuses only after it knows all of the user's credentials."""
        process = self.one.start("prlimit", "--nofile=16384", self.storm, "connect", "tcp", V4, TARGET, 30000, 4000,
                                 user=user, stdout=-1)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        wait_until(lambda: self.ubfd2.status()["ident"]["questions"] > 1000, 10, "the storm")

    def assert_questions_were_ended(self):
        """A busy node says so. Almost no question then stays open until its deadline and takes room from others."""
        status = self.ubfd2.status()
        self.assertLess(status["reasons"]["no-answer"], status["ident"]["questions"] / 10, status["reasons"])
        self.assertGreater(status["ident"]["answers_busy"], 0)

    def test_others_of_that_node_get_through(self):
        carol = self.person("carol", self.one)
        self.start_storm("bob")
        for address in (V4, V6):
            self.assert_all_get_through(carol, address, tries=3)
        self.assert_questions_were_ended()

    def test_others_whose_credentials_it_takes_get_through(self):
        bob = self.person("bob", self.one)
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two, group=PROJ).listen(protocol, "::", PORT + 10)
        self.start_storm("carol")
        for address in (V4, V6):
            self.assert_all_get_through(bob, address, PORT + 10, tries=3)
        self.assert_questions_were_ended()

    def test_others_of_another_node_get_through(self):
        self.start_storm("bob")
        for address in self.third.values():
            self.assert_all_get_through(self.carol, address, tries=3)
        self.assert_questions_were_ended()


if __name__ == "__main__":
    case.main()
