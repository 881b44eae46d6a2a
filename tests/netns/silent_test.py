#!/usr/bin/python3
"""Peers that do not answer: they run no ubfd, a firewall keeps its port shut, or they restart."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import PEERS, REFUSED, V4, V6, WAYS, TwoNodes, wait_until  # noqa: E402
from lab.tree import Trouble  # noqa: E402

PORT = 9001
ACROSS = [way for way in WAYS if way.across]
AT_ONCE = 0.5  # seconds, less than ident.deadline_ms


class Silent(TwoNodes):
    def setUp(self):
        super().setUp()
        alice = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            alice.listen(protocol, "::", PORT)

    def connect(self, user, way, **options):
        somebody = self.person(user, self.one)
        seen = somebody.connect(way.protocol, way.address, PORT, **options)
        self.dismiss(somebody)
        return seen

    def each_way(self, user, expected, **options):
        for way in ACROSS:
            with self.subTest(str(way)):
                self.assertEqual(self.connect(user, way, **options), way.refused if expected == "refused" else expected)

    def reasons(self):
        return {name: count for name, count in self.ubfd2.status()["reasons"].items() if count}


class NeverThere(Silent):
    def start_daemons(self):
        self.ubfd2 = self.start_ubfd(self.two)

    def test_is_refused_at_once_and_let_in_once_it_answers(self):
        # The firewall drops silently.
        self.one.run("nft", "add table inet site; add chain inet site input { type filter hook input priority 0; }; "
                            "add rule inet site input udp dport 1017 drop")
        for way in ACROSS[:2]:
            self.connect("alice", way, timeout=2)  # the first of each family finds out that the peer is silent
        self.each_way("alice", "refused", timeout=AT_ONCE)
        self.assertEqual(set(self.reasons()), {"no-answer", "no-answer-yet"})
        self.assertIn("UDP 1017", self.ubfd2.wait_for_log("peer 10.77.0.1 does not answer"))
        self.assert_denied(self.ubfd2, "no-answer")
        self.assertEqual(self.ubfd2.log().count("peer 10.77.0.1 does not answer"), 1)
        self.ubfd1 = self.start_ubfd(self.one)
        self.each_way("alice", "refused", timeout=AT_ONCE)
        self.one.run("nft", "delete table inet site")
        for way in ACROSS:
            wait_until(lambda way=way: self.connect("alice", way, timeout=AT_ONCE) == "connected", 5)
        self.each_way("bob", "refused")

    def test_asks_in_passing_once_a_second(self):
        self.connect("alice", ACROSS[0], timeout=2)
        before = self.ubfd2.status()["ident"]["questions"]
        alice = self.person("alice", self.one)
        for _ in range(100):
            self.assertEqual(alice.connect("tcp", V4, PORT, timeout=AT_ONCE), REFUSED["v4"])
        self.assertLess(self.ubfd2.status()["ident"]["questions"] - before, 20)


class Unreachable(Silent):
    """The node reports an error: no socket has the port, or the site's firewall prohibits it."""

    # The deadline is longer than the connections here wait.
    settings = {"ident": {"deadline_ms": 999}}

    def start_daemons(self):
        self.ubfd2 = self.start_ubfd(self.two)

    def assert_refused_before_the_deadline(self):
        for way in ACROSS[:2]:
            self.assertEqual(self.connect("alice", way, timeout=AT_ONCE), way.refused)
        self.assertEqual(set(self.reasons()), {"no-answer"})

    def test_is_refused_before_the_deadline_where_nobody_has_the_port(self):
        self.assert_refused_before_the_deadline()

    def test_is_refused_before_the_deadline_where_a_firewall_prohibits_it(self):
        self.one.run("nft", "add table inet site; add chain inet site input { type filter hook input priority 0; }; "
                            "add rule inet site input udp dport 1017 reject with icmpx admin-prohibited")
        self.ubfd1 = self.start_ubfd(self.one)
        self.assert_refused_before_the_deadline()
        self.one.run("nft", "delete table inet site")
        for way in ACROSS:
            wait_until(lambda way=way: self.connect("alice", way, timeout=AT_ONCE) == "connected", 5)


class WasThere(Silent):
    """The peer answered a moment ago, so it is probably restarting."""

    def test_is_waited_for(self):
        alice = self.person("alice", self.one)
        for address in (V4, V6):
            self.assertEqual(alice.connect("tcp", address, PORT), "connected")
        self.ubfd1.kill()
        handles = [alice.do(person.send_to, "tcp", address, PORT) for address in (V4, V6)]
        wait_until(lambda: self.reasons().get("no-answer-yet", 0) >= 2)
        self.assertNotIn("no-answer", self.reasons())
        self.ubfd1.start()
        for handle in handles:
            self.assertEqual(alice.do(person.outcome, handle, timeout=10), "connected")


class NotReady(Silent):
    """The site rolls ubfd out, node by node."""

    settings = {"peers": {"ranges": PEERS, "unready": ["10.77.0.1", "fd77::1"]}}

    def start_daemons(self):
        self.ubfd2 = self.start_ubfd(self.two)

    def change(self, **changes):
        self.ubfd2.configure({**self.ubfd2.settings, **changes})
        self.ubfd2.reload()

    def test_is_not_asked_and_refused_or_let_in_as_the_site_says(self):
        self.each_way("alice", "refused", timeout=AT_ONCE)
        self.assertEqual(set(self.reasons()), {"unready"})
        self.change(policy={"unready": "allow"})
        self.each_way("bob", "connected", timeout=AT_ONCE)
        self.assertEqual(set(self.reasons()), {"unready", "unready-allowed"})
        self.assertEqual(self.ubfd2.status()["ident"]["questions"], 0)
        answer = self.ubfctl("explain", "--from", "10.77.0.1:4000", "--to", f"{V4}:{PORT}")
        self.assertIn("so: allow (unready-allowed)", answer)

    def ubfctl(self, *words):
        return self.two.run(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, *words)

    def test_who_came_from_there_is_asked_about_once_it_is_ready(self):
        self.change(policy={"unready": "allow"})
        alice, bob = self.person("alice", self.one), self.person("bob", self.one)
        mine, foreign = (somebody.connect("tcp", V4, PORT).handle for somebody in (alice, bob))
        self.ubfd1 = self.start_ubfd(self.one)
        self.change(peers={"ranges": PEERS}, policy={"unready": "allow"})
        wait_until(lambda: not self.is_open(bob, foreign), 10)
        self.assertEqual(alice.say(mine), "hello")

    @staticmethod
    def is_open(somebody, handle):
        try:
            return somebody.say(handle) == "hello"
        except Trouble:
            return False

    def test_a_range_that_is_none_of_the_peers_is_a_mistake(self):
        self.ubfd2.configure({"peers": {"ranges": PEERS, "unready": ["10.99.0.0/24"]}})
        words = "peers.unready: 10.99.0.0/24 is not within peers.ranges"
        process = self.two.start(case.build / "daemon" / "ubfctl", "check-config", self.ubfd2.config,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertIn(words, process.communicate()[0])


class Excepted(Silent):
    """A machine within the ranges never runs ubfd: a printer, a guest of another network."""

    settings = {"peers": {"ranges": PEERS, "except": ["10.77.0.1", "fd77::1"]}}

    def start_daemons(self):
        self.ubfd2 = self.start_ubfd(self.two)

    def test_is_outside(self):
        self.each_way("alice", "refused", timeout=AT_ONCE)
        self.assertEqual(set(self.reasons()), {"outside"})
        self.assertEqual(self.ubfd2.status()["ident"]["questions"], 0)
        self.ubfd2.configure({**self.ubfd2.settings, "policy": {"outside": "allow"}})
        self.ubfd2.reload()
        self.each_way("bob", "connected", timeout=AT_ONCE)


if __name__ == "__main__":
    case.main()
