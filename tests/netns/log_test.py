#!/usr/bin/python3
"""The log, when users try to fill it: each user has a share, and one line tells of the rest."""

import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load  # noqa: E402
from lab.case import CLOSED, V4, V6, TwoNodes, refused, wait_until  # noqa: E402

PORT = 9001
SHARE = 32
MANY = range(10, 160)  # hosts whose addresses node2 has as well
PLACES = {"v4": [f"10.77.0.{host}" for host in MANY], "v6": [f"fd77::{host}" for host in MANY]}
PROTOCOLS = ("tcp", "udp")


class Log(TwoNodes):
    settings = {"log": {"fold_s": 3600}}  # no count is told before the end

    def setUp(self):
        super().setUp()
        self.server = self.person("alice", self.two)
        for protocol in PROTOCOLS:
            self.server.listen(protocol, "::", PORT)
        self.two.run("sh", "-c", "".join(f"ip addr add {v4}/24 dev eth0; ip addr add {v6}/64 dev eth0 nodad; "
                                         for v4, v6 in zip(PLACES["v4"], PLACES["v6"])))

    def flood(self, client):
        """Gets 600 flows between different ends refused. Returns their number."""
        count = 0
        for protocol in PROTOCOLS:
            for family, addresses in PLACES.items():
                self.assertEqual(client.do(load.scan, protocol, addresses, [PORT]),
                                 {refused(protocol, family): len(MANY)})
                count += len(MANY)
        return count

    def lines(self, verb, user):
        return [line for line in self.ubfd2.log().splitlines()
                if f" {verb} " in line and f"connector={user}({case.USERS[user]})" in line]


class Flood(Log):
    def assert_has_a_line(self, user, node):
        client = self.person(user, node)
        for protocol in PROTOCOLS:
            for family, address in (("v4", V4), ("v6", V6)):
                self.assertEqual(client.connect(protocol, address, PORT), refused(protocol, family))
                self.assert_denied(self.ubfd2, f" {protocol} ", f"connector={user}", address, "reason=different-user")

    def test_leaves_everybody_else_his_line(self):
        for node in (self.one, self.two):
            self.flood(self.person("bob", node))
        for node in (self.one, self.two):
            self.assert_has_a_line("carol", node)
        self.assertEqual(len(self.lines("denied", "bob")), SHARE)
        self.assertGreaterEqual(self.ubfd2.status()["log"]["over_share"], 600 - SHARE)

    def test_is_told_in_one_line_in_the_end(self):
        count = self.flood(self.person("bob", self.one))
        self.ubfd2.stop()
        more = [line for line in self.lines("denied", "bob") if " more=" in line]
        self.assertEqual(len(more), 1, more)
        self.assertGreaterEqual(int(re.search(" more=([0-9]+)", more[0])[1]), count - SHARE)
        self.assertIn("listener=alice(63001)", more[0])

    def test_of_what_nobody_stands_behind_is_the_listeners(self):
        """The connector's socket is gone before ubfd asks its node."""
        bob = self.person("bob", self.one)

        def some_were_gone():
            bob.do(load.leave_behind, PLACES["v4"], PORT)
            return self.ubfd2.status()["reasons"]["connector-unknown"] > 2 * SHARE

        wait_until(some_were_gone, 20)
        unknown = [line for line in self.ubfd2.denials() if "reason=connector-unknown" in line]
        self.assertLessEqual(len(unknown), SHARE)
        other = self.person("service", self.two)
        other.listen("udp", "::", PORT + 1)

        def one_was_gone():
            bob.do(load.leave_behind, [V4], PORT + 1)
            return any("reason=connector-unknown" in line and "listener=service(63004)" in line
                       for line in self.ubfd2.denials())

        wait_until(one_was_gone, 20)
        self.assert_has_a_line("carol", self.one)


class Hint(TwoNodes):
    def test_of_a_listener_of_roots_is_another_than_of_a_users(self):
        self.person("root", self.two).listen("tcp", "::", PORT)
        self.person("alice", self.two).listen("tcp", "::", PORT + 1)
        bob = self.person("bob", self.one)
        for port, words in ((PORT, "socket activation"), (PORT + 1, "sg GROUP COMMAND")):
            self.assertEqual(bob.connect("tcp", V4, port), "EHOSTUNREACH")
            self.assert_denied(self.ubfd2, f":{port} reason=different-user", words)


class Scan(Log):
    ports = range(20000, 20200)

    def assert_scanned(self, user, since):
        """A line for the scan, and one more for each minute."""
        wait_until(lambda: self.lines("scanned", user), 10)
        self.assertLessEqual(len(self.lines("scanned", user)), 1 + (time.monotonic() - since) / 60)

    def test_of_closed_ports_is_a_line_for_each_user(self):
        since = time.monotonic()
        for user, node, v4, v6 in (("bob", self.one, V4, V6), ("carol", self.two, "127.0.0.1", "::1")):
            client = self.person(user, node)
            for protocol in PROTOCOLS:
                for address in (v4, v6):
                    self.assertEqual(client.do(load.scan, protocol, [address], self.ports),
                                     {CLOSED: len(self.ports)})
            self.assert_scanned(user, since)
        for user in ("bob", "carol"):
            self.assert_scanned(user, since)
            self.assertIn("reason=no-listener", self.lines("scanned", user)[0])
        self.assertEqual(self.ubfd2.denials(), [])

    def test_of_one_is_told_though_another_scans_too(self):
        since = time.monotonic()
        for user in ("bob", "carol", "bob", "carol"):
            self.person(user, self.one).do(load.scan, "udp", [V4, V6], self.ports)
            time.sleep(1.1)
        for user in ("bob", "carol"):
            self.assert_scanned(user, since)

    def test_is_not_what_waits_for_its_server(self):
        client = self.person("bob", self.one)
        for protocol in PROTOCOLS:
            self.assertEqual(client.do(load.ask_each, protocol, V4, 20000, 200), {CLOSED: 200})
        self.assertEqual(self.lines("scanned", "bob"), [])

    def test_of_a_user_who_floods_has_its_line_too(self):
        bob = self.person("bob", self.one)
        self.flood(bob)
        since = time.monotonic()
        bob.do(load.scan, "tcp", [V4], self.ports)
        self.assert_scanned("bob", since)

    def test_from_a_node_that_does_not_answer_is_charged_to_its_address(self):
        self.ubfd1.stop()
        self.assertEqual(self.person("bob", self.one).do(load.scan, "udp", [V4], self.ports),
                         {CLOSED: len(self.ports)})
        wait_until(lambda: " scanned " in self.ubfd2.log(), 10)
        line = self.ubfd2.wait_for_log(" scanned ")
        self.assertIn("10.77.0.1:", line)
        self.assertIn("connector=unknown", line)


if __name__ == "__main__":
    case.main()
