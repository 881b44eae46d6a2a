#!/usr/bin/python3
"""A user sends UDP only under an address at which the same socket gets the answers. Else whoever is bound there would get
answers from outside, or from an exempt port, without having asked."""

import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import V4, V6, TwoNodes, wait_until  # noqa: E402
from lab.sending import named, pktinfo  # noqa: E402
from lab.supervisor import Supervised  # noqa: E402

PORT, SOURCE = 9001, 9501
# node1's address and node2's; another address of node2's, all of them, and one of a group
PLACES = [("10.77.0.1", V4, "127.0.0.1", "0.0.0.0", "224.0.0.99"),
          ("fd77::1", V6, "::1", "::", "ff05::99"),
          ("10.77.0.1", V4, "::ffff:127.0.0.1", "::", "224.0.0.99")]


def send_under(handle, source, address, port):
    """Sends, under this source or one that the kernel chooses. Returns 'sent', or the name of an errno."""
    sock = person._sockets[handle]  # pylint: disable=protected-access
    if sock.family == socket.AF_INET6:
        address, source = (text if not text or ":" in text else f"::ffff:{text}" for text in (address, source))
    return named(sock.sendmsg, [b"hello"], [pktinfo(source)] if source else [], 0, (address, port))


class Senders(TwoNodes):
    """bob, on node2, would have his mate on node1 reach alice, by a port that is exempt."""

    settings = {"scope": {"exempt_ports": [f"udp/{SOURCE}"]}}

    def setUp(self):
        super().setUp()
        self.assertEqual(self.ubfd2.status()["udp_senders"]["state"], "in use")
        self.mate = self.person("bob", self.one)

    def refused(self):
        return self.ubfd2.status()["udp_senders"]["refused"]

    def send(self, user, bind, source, here):
        somebody = self.person(user, self.two)
        opened = somebody.do(person.bound, "udp", bind, PORT)
        seen = somebody.do(send_under, opened, source, here, SOURCE)
        self.dismiss(somebody)
        return seen

    def test_whoever_is_bound_there_gets_no_answers(self):
        for here, there, own, everywhere, group in PLACES:
            mates = self.mate.do(person.bound, "udp", here, SOURCE)
            alice = self.person("alice", self.two)
            trap = alice.do(person.bound, "udp", there, PORT)
            for bind, source in ((own, there), (everywhere, there), (group, "")):
                with self.subTest(f"{bind}, for {there}"):
                    before = self.refused()
                    self.assertEqual(self.send("bob", bind, source, here), "EPERM")
                    self.assertEqual(self.refused(), before + 1)
                    self.assert_denied(self.ubfd2, "reason=shared-port", "(63002)", f":{PORT} -> ",
                                       here, "another socket would get the answers", seconds=20)
                    self.mate.do(person.send_from, mates, there, PORT, "a forgery")
                    self.assertIsNone(alice.do(person.received, trap, timeout=0.2))
            self.dismiss(alice)
            self.mate.close(mates)

    def test_nor_does_whoever_will_be_bound_there(self):
        for here, there, own, _, group in PLACES:
            for bind, source in ((own, there), (group, "")):
                with self.subTest(f"{bind}, for {there}"):
                    self.assertEqual(self.send("bob", bind, source, here), "EPERM")

    def test_a_socket_that_gets_the_answers_may_send(self):
        for here, there, _, everywhere, _ in PLACES:
            mates = self.mate.do(person.bound, "udp", here, SOURCE)
            for bind, source in ((there, there), (there, ""), (everywhere, there), (everywhere, "")):
                with self.subTest(f"{bind}, under {source}"):
                    if ":" in there or ":" not in everywhere:  # it is an IPv4 socket, or an IPv6 one
                        self.assertEqual(self.send("alice", bind, source, here), "sent")
                        self.assertEqual(self.mate.do(person.received, mates), "hello")
            self.mate.close(mates)

    def test_of_what_ubfd_judges_it_says_so_itself(self):
        for here, there, own, everywhere, _ in PLACES:
            alice, bob = self.person("alice", self.two), self.person("bob", self.two)
            alice.do(person.bound, "udp", there, PORT)
            mates = self.mate.do(person.bound, "udp", here, SOURCE + 1)
            for bind in (own, everywhere):
                with self.subTest(bind):
                    opened = bob.do(person.bound, "udp", bind, PORT)
                    self.assertEqual(bob.do(send_under, opened, there, here, SOURCE + 1), "sent")
                    self.assert_denied(self.ubfd1, "reason=shared-port", "connector=shared", f":{SOURCE + 1} ")
                    bob.close(opened)
            self.mate.close(mates)
            self.dismiss(alice)
            self.dismiss(bob)
        self.assertEqual(self.refused(), 0)

    def test_so_may_root(self):
        for here, there, own, _, _ in PLACES:
            with self.subTest(own):
                self.assertEqual(self.send("root", own, there, here), "sent")

    def test_and_everybody_to_a_group(self):
        for group in ("224.0.0.99", "ff05::99"):
            with self.subTest(group):
                bob = self.person("bob", self.two)
                opened = bob.do(person.bound, "udp", group, PORT)
                self.assertNotEqual(bob.do(send_under, opened, "", group, PORT), "EPERM")

    def test_all_may_while_the_site_observes(self):
        self.ubfd2.reload_with(policy={"mode": "observe"})
        here, there, own, *_ = PLACES[0]
        self.assertEqual(self.send("bob", own, there, here), "sent")
        self.assertIn("observes", self.ubfd2.status()["udp_senders"]["state"])


class FromOutside(TwoNodes):
    """node1 is no peer, and no port is exempt."""

    settings = {"peers": {"ranges": [f"{V4}/32", f"{V6}/128"]}}

    def start_daemons(self):
        self.ubfd2 = self.start_ubfd(self.two)

    def test_nobody_gets_answers_that_another_has_asked_for(self):
        for here, there, own, everywhere, group in PLACES:
            for bind, source in ((own, there), (everywhere, there), (group, "")):
                with self.subTest(f"{bind}, for {there}"):
                    alice, bob = self.person("alice", self.two), self.person("bob", self.two)
                    alice.do(person.bound, "udp", there, PORT)
                    opened = bob.do(person.bound, "udp", bind, PORT)
                    self.assertEqual(bob.do(send_under, opened, source, here, SOURCE), "EPERM")
                    self.dismiss(alice)
                    self.dismiss(bob)


class WhileItIsAway(Supervised, TwoNodes):
    settings = Senders.settings

    def test_it_stays_in_force(self):
        self.ubfd2.kill()
        here, there, own, *_ = PLACES[0]
        bob = self.person("bob", self.two)
        opened = bob.do(person.bound, "udp", own, PORT)
        self.assertEqual(bob.do(send_under, opened, there, here, SOURCE), "EPERM")
        self.ubfd2.start()
        self.assertEqual(bob.do(send_under, opened, there, here, SOURCE), "EPERM")
        wait_until(lambda: self.ubfd2.status()["udp_senders"]["refused"] == 1)


if __name__ == "__main__":
    case.main()
