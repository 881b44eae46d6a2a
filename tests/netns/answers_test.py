#!/usr/bin/python3
"""An answer is for the socket that has sent. Another user who binds its port next gets no answer, and has begun
nothing."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load, person  # noqa: E402
from lab.case import COMMON, V4, V6, TwoNodes  # noqa: E402
from lab.sending import pktinfo  # noqa: E402

PORT, SOURCE = 9001, 9501
PLACES = [("10.77.0.1", V4), ("fd77::1", V6)]
NOTICE_S = 1  # more than ubfd takes to hear that a socket is gone, and to tell the kernel


class Answers(TwoNodes):
    """bob on node2 sends to his mate on node1, and closes. alice binds that port next."""

    mate = "bob"

    def setUp(self):
        super().setUp()
        self.friend = self.person(self.mate, self.one, group=COMMON)

    def ask(self, here, there):
        """bob sends from there. Returns the mate's socket, and bob's."""
        mates = self.friend.do(person.bound, "udp", here, SOURCE)
        bob = self.person("bob", self.two)
        opened = bob.do(person.bound, "udp", there, PORT)
        bob.do(person.send_from, opened, here, SOURCE)
        self.assertEqual(self.friend.do(person.received, mates), "hello")
        return mates, bob, opened

    def assert_alice_gets_nothing(self, mates, there):
        alice = self.person("alice", self.two)
        trap = alice.do(person.bound, "udp", there, PORT)
        for _ in range(3):
            self.friend.do(person.send_from, mates, there, PORT, "a forgery")
            self.assertIsNone(alice.do(person.received, trap, timeout=0.2))
        self.dismiss(alice)

    def assert_ends_with_the_socket(self):
        for here, there in PLACES:
            with self.subTest(there):
                mates, bob, opened = self.ask(here, there)
                self.friend.do(person.send_from, mates, there, PORT, "an answer")
                self.assertEqual(bob.do(person.received, opened), "an answer")
                bob.close(opened)
                time.sleep(NOTICE_S)
                self.assert_alice_gets_nothing(mates, there)
                self.friend.close(mates)


class FromExemptPorts(Answers):
    settings = {"scope": {"exempt_ports": [f"udp/{SOURCE}"]}}

    def test_the_next_at_the_port_gets_no_answer(self):
        self.assert_ends_with_the_socket()

    def test_nor_if_ubfd_was_dead_when_the_socket_was_closed(self):
        for here, there in PLACES:
            with self.subTest(there):
                mates, bob, opened = self.ask(here, there)
                self.ubfd2.kill()
                bob.close(opened)
                self.ubfd2.start()
                time.sleep(NOTICE_S)
                self.assert_alice_gets_nothing(mates, there)
                self.friend.close(mates)

    def test_whoever_sent_gets_answers_while_others_close_their_sockets(self):
        for here, there in PLACES:
            with self.subTest(there):
                mates, bob, opened = self.ask(here, there)
                for _ in range(5):
                    bob.do(load.churn, 100)
                    self.friend.do(person.send_from, mates, there, PORT, "an answer")
                    self.assertEqual(bob.do(person.received, opened), "an answer")
                bob.close(opened)
                self.friend.close(mates)

    def test_so_does_a_socket_at_the_same_port_that_is_connected_there(self):
        for here, there in PLACES:
            with self.subTest(there):
                mates, bob, opened = self.ask(here, there)
                connected = bob.do(person.bound, "udp", there, PORT)
                bob.do(person.connect_bound, connected, here, SOURCE)
                bob.close(opened)
                time.sleep(NOTICE_S)
                self.friend.do(person.send_from, mates, there, PORT, "an answer")
                self.assertEqual(bob.do(person.received, connected), "an answer")
                bob.close(connected)
                self.friend.close(mates)


class Untracked(FromExemptPorts):
    """The set of the table knows what was sent."""

    def start_daemons(self):
        for hook in ("prerouting", "output"):
            self.two.run("nft", f"add table inet site; add chain inet site {hook} {{ type filter hook {hook} priority raw; "
                                f"}}; add rule inet site {hook} udp dport != 1017 notrack")
        super().start_daemons()


class FromOutside(Answers):
    """node1 is no peer."""

    settings = {"peers": {"ranges": [f"{V4}/32", f"{V6}/128"]}}
    mate = "root"

    def start_daemons(self):
        self.ubfd2 = self.start_ubfd(self.two)

    def test_nor_does_the_next_at_the_port_from_outside(self):
        self.assert_ends_with_the_socket()


def send_in_the_name_of(handle, source, address, port):
    """Sends from another address of this node than the socket's own."""
    sock = person._sockets[handle]  # pylint: disable=protected-access
    sock.sendmsg([b"hello"], [pktinfo(source)], 0, (address, port))


class Directions(Answers):
    """carol, on node1, runs under a group that alice has, and alice doesn't run under one that carol has."""

    mate = "carol"

    def test_who_sends_in_the_name_of_anothers_socket_does_not_turn_the_direction(self):
        for (here, there), own in zip(PLACES, ("127.0.0.1", "::1")):
            with self.subTest(there):
                alice, bob = self.person("alice", self.two), self.person("bob", self.two)
                trap = alice.do(person.bound, "udp", there, PORT)
                mates = self.friend.do(person.bound, "udp", here, SOURCE)
                opened = bob.do(person.bound, "udp", own, PORT)
                bob.do(send_in_the_name_of, opened, there, here, SOURCE)
                for _ in range(3):
                    self.friend.do(person.send_from, mates, there, PORT, "a forgery")
                    self.assertIsNone(alice.do(person.received, trap, timeout=0.2))
                self.assert_denied(self.ubfd2, "reason=shared-port", there)
                self.friend.close(mates)
                self.dismiss(alice)
                self.dismiss(bob)

    def test_who_sends_to_the_next_at_the_port_has_begun(self):
        for here, there in PLACES:
            with self.subTest(there):
                mates, bob, opened = self.ask(here, there)
                bob.close(opened)
                time.sleep(NOTICE_S)
                self.assert_alice_gets_nothing(mates, there)
                self.assert_denied(self.ubfd2, "reason=different-user", "listener=alice")
                self.friend.close(mates)


if __name__ == "__main__":
    case.main()
