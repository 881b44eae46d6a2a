#!/usr/bin/python3
"""The decision, row by row, each over TCP and UDP, IPv4 and IPv6, across nodes and on one: the client's view, the
counters, the log."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import CLOSED, COMMON, PROJ, V4, V6, WAYS, Counted, TwoNodes  # noqa: E402

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
        """Tries each way to the port, and hands it to check() with the user's view and node2's counters."""
        people = {True: self.person(user, self.one), False: self.person(user, self.two)}
        for way in WAYS:
            with self.subTest(str(way)):
                with Counted(self.ubfd2) as counted:
                    seen = people[way.across].connect(way.protocol, way.address, port)
                check(way, seen, counted.reasons())

    def assert_allowed(self, user, port, reason):
        def check(way, seen, reasons):
            self.assertEqual(seen, "connected")
            unasked = self.recognise and reason == "same-user" and way.protocol == "tcp"
            self.assertEqual(set(reasons), set() if unasked else {reason})

        self.every_way(user, port, check)
        self.assertEqual(self.ubfd2.denials(), [])

    def assert_refused(self, user, port, reason, *words):
        def check(way, seen, reasons):
            self.assertEqual(seen, way.refused)
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
        self.every_way("root", OWN, lambda way, seen, _: self.assertEqual(seen, way.refused))

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


class Across(TwoNodes):
    """Rows that need another node."""

    def setUp(self):
        super().setUp()
        server = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            server.listen(protocol, "::", OWN)
        self.alice = self.person("alice", self.one)

    def every_way(self, check, **options):
        for way in WAYS:
            if way.across:
                with self.subTest(str(way)):
                    with Counted(self.ubfd2) as counted:
                        seen = self.alice.connect(way.protocol, way.address, OWN, **options)
                        time.sleep(0.02)
                    check(way, seen, counted.reasons())


class Outside(Across):
    """node1 is in none of node2's ranges."""

    def start_daemons(self):
        self.ubfd2 = self.start_ubfd(self.two, {"peers": {"ranges": ["10.77.0.2/32", "fd77::2/128"]}, **self.settings})

    def test_who_comes_from_outside_is_refused(self):
        def check(way, seen, reasons):
            self.assertEqual(seen, way.refused)
            self.assertEqual(set(reasons), {"outside"})
            self.assert_denied(self.ubfd2, f" {way.protocol} ", "reason=outside", "connector=outside")

        self.every_way(check)

    def test_a_site_may_let_in_who_comes_from_outside(self):
        self.ubfd2.configure({**self.ubfd2.settings, "policy": {"outside": "allow"}})
        self.ubfd2.reload()

        def check(_, seen, reasons):
            self.assertEqual(seen, "connected")
            self.assertEqual(set(reasons), {"outside-allowed"})

        self.every_way(check)

    def test_what_is_outside_can_be_asked_and_may_answer(self):
        server = self.person("alice", self.one)
        for protocol in ("tcp", "udp"):
            server.listen(protocol, "::", SERVICE)
            for address in ("10.77.0.1", "fd77::1"):
                self.assertEqual(self.person("carol", self.two).connect(protocol, address, SERVICE), "connected")


class Silent(Across):
    """node1's ubfd is gone, and so is its ruleset."""

    settings = {"policy": {"exempt_listeners": ["service"]}}

    def setUp(self):
        super().setUp()
        self.ubfd1.stop()

    def test_who_has_no_ubfd_to_vouch_for_him_is_refused(self):
        def check(way, seen, reasons):
            self.assertEqual(seen, way.refused)
            self.assertIn(set(reasons), ({"no-answer"}, {"no-answer", "no-answer-yet"}))

        for address in (V4, V6):  # the first packet finds out that the peer is silent
            self.alice.connect("tcp", address, OWN, timeout=0.96)
        self.every_way(check)
        self.assertTrue(all("no-answer" in line for line in self.ubfd2.denials()))

    def test_an_exempt_listener_needs_nobody_to_vouch(self):
        server = self.person("service", self.two)
        for protocol in ("tcp", "udp"):
            server.listen(protocol, "::", SERVICE)
            for address in (V4, V6):
                self.assertEqual(self.person("bob", self.one).connect(protocol, address, SERVICE), "connected")


if __name__ == "__main__":
    case.main()
