#!/usr/bin/python3
"""The decision, row by row, each over TCP and UDP, IPv4 and IPv6, across nodes and on one: what the client
sees, what is counted, what the log says."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import CLOSED, COMMON, PROJ, REFUSED, WAYS, Counted, TwoNodes  # noqa: E402

OWN, SHARED, COMMON_PORT, SERVICE, EXEMPT, NOBODY = 8001, 8002, 8003, 8004, 8005, 8006


class Decision(TwoNodes):
    settings = {
        "scope": {"exempt_ports": [EXEMPT]},
        "policy": {"exempt_listeners": ["service"], "exempt_connectors": ["monitor"],
                   "ignored_groups": ["common"]},
    }

    def setUp(self):
        super().setUp()
        self.serve("alice", OWN)
        self.serve("alice", SHARED, group=PROJ)
        self.serve("alice", COMMON_PORT, group=COMMON)
        self.serve("service", SERVICE)
        self.serve("alice", EXEMPT)

    def serve(self, user, port, **options):
        server = self.person(user, self.two, **options)
        for protocol in ("tcp", "udp"):
            server.listen(protocol, "::", port)

    def every_way(self, user, port, check):
        """Tries each way to the port, and hands it to check() with what the user saw and node2 counted."""
        people = {True: self.person(user, self.one), False: self.person(user, self.two)}
        for way in WAYS:
            with self.subTest(str(way)):
                with Counted(self.ubfd2) as counted:
                    seen = people[way.across].connect(way.protocol, way.address, port)
                check(way, seen, counted.reasons())

    def assert_allowed(self, user, port, reason):
        def check(_, seen, reasons):
            self.assertEqual(seen, "connected")
            self.assertEqual(set(reasons), {reason})

        self.every_way(user, port, check)
        self.assertEqual(self.ubfd2.denials(), [])

    def assert_refused(self, user, port, reason, *words):
        def check(way, seen, reasons):
            self.assertEqual(seen, REFUSED[way.family])
            self.assertEqual(set(reasons), {reason})
            self.assert_denied(self.ubfd2, f" {way.protocol} ", f":{port} ", f"reason={reason}",
                               f"connector={user}({case.USERS[user]}) person[", *words)

        self.every_way(user, port, check)

    def test_two_programs_of_one_user_connect(self):
        self.assert_allowed("alice", OWN, "same-user")

    def test_a_user_of_another_group_is_refused_and_told(self):
        self.assert_refused("carol", SHARED, "different-user", "listener=alice(63001) person[")

    def test_a_user_who_shares_only_supplementary_groups_is_refused(self):
        self.assert_refused("bob", OWN, "different-user")

    def test_a_member_of_the_listeners_effective_group_connects(self):
        self.assert_allowed("bob", SHARED, "same-group")

    def test_an_ignored_group_lets_nobody_in(self):
        self.assert_refused("bob", COMMON_PORT, "different-user")

    def test_an_exempt_listener_is_open_to_everybody(self):
        self.assert_allowed("carol", SERVICE, "exempt-listener")

    def test_an_exempt_connector_may_go_everywhere(self):
        self.assert_allowed("monitor", OWN, "exempt-connector")

    def test_root_is_nobody_special(self):
        self.every_way("root", OWN, lambda way, seen, _: self.assertEqual(seen, REFUSED[way.family]))

    def test_an_exempt_port_is_open_to_everybody_and_never_asked_about(self):
        def check(_, seen, reasons):
            self.assertEqual(seen, "connected")
            self.assertEqual(reasons, {})

        with Counted(self.ubfd1) as at_the_client:
            self.every_way("carol", EXEMPT, check)
        self.assertEqual(at_the_client.reasons(), {})

    def test_a_closed_port_is_closed_as_without_a_firewall(self):
        def check(_, seen, reasons):
            self.assertEqual(seen, CLOSED)
            self.assertEqual(set(reasons), {"no-listener"})

        self.every_way("alice", NOBODY, check)
        self.assertEqual(self.ubfd2.denials(), [])


if __name__ == "__main__":
    case.main()
