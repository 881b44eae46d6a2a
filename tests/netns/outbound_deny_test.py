#!/usr/bin/python3
"""Users begin nothing on the interfaces of a management network (scope.outbound_deny)."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import V4, V6, Counted, TwoNodes  # noqa: E402

PORT = 9001
OPEN = {"exempt_ports": [PORT]}  # on the way in


class OutboundDeny(TwoNodes):
    """node1's eth0 leads to a management network."""

    settings = {"scope": OPEN}

    def start_ubfd(self, node, settings=None, **options):
        if node is self.one:
            settings = {"scope": OPEN | {"outbound_deny": ["eth*"]}}
        return super().start_ubfd(node, settings, **options)

    def test_users_begin_nothing_there_and_root_may(self):
        bob, root, there = self.person("bob", self.one), self.person("root", self.one), self.person("alice", self.two)
        for address in (V4, V6):
            there.listen("tcp", address, PORT)
            there.listen("udp", address, PORT)
            with self.subTest(address), Counted(self.ubfd1) as counted:
                self.assertEqual(bob.connect("tcp", address, PORT), "EHOSTUNREACH")
                self.assertNotEqual(bob.connect("udp", address, PORT), "connected")
                self.assertEqual(root.connect("tcp", address, PORT), "connected")
                self.assertEqual(root.connect("udp", address, PORT), "connected")
            self.assertGreaterEqual(counted["kernel.outbound_deny.packets"], 2)  # a datagram is sent again

    def test_they_may_answer_there_and_speak_on_loopback(self):
        bob, alice = self.person("bob", self.one), self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            for family, address in (("v4", "10.77.0.1"), ("v6", "fd77::1")):
                with self.subTest(f"{protocol} {family}"):
                    handle = bob.listen(protocol, address, PORT)
                    self.assertEqual(alice.connect(protocol, address, PORT), "connected")
                    self.assertEqual(bob.connect(protocol, address, PORT), "connected")
                    bob.close(handle)

    def test_a_reload_lifts_it(self):
        bob, there = self.person("bob", self.one), self.person("alice", self.two)
        there.listen("tcp", V4, PORT)
        self.assertEqual(bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.ubfd1.configure(self.ubfd1.settings | {"scope": OPEN})
        self.ubfd1.reload()
        self.assertEqual(bob.connect("tcp", V4, PORT), "connected")


if __name__ == "__main__":
    case.main()
