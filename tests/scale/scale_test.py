#!/usr/bin/python3
"""A big job starts on many nodes: every node connects to every other at once, while daemons reload, rotate keys or are
killed. No allowed connection is refused or lost, and no other user gets in."""

import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import V4, Case, TwoNodes  # noqa: E402
from lab.supervisor import Supervisor  # noqa: E402
from lab.tree import FOLDER  # noqa: E402
from lab.ubfd import write_key  # noqa: E402
from scale import cluster, rules  # noqa: E402
from scale.cluster import NETWORK, PORT, Cluster, Ranks  # noqa: E402


class Storm(Case):
    """The listener's ranks listen on every node, and the connector's ranks connect. carol is a stranger."""

    count, ranks, rule = 6, 4, rules.User
    most_repeats = 1  # per connection, on a machine that may be busy

    def setUp(self):
        super().setUp()
        self.key = write_key(FOLDER / "key")
        self._rule = self.rule()
        self.addCleanup(self._rule.close)
        self.cluster = Cluster(self.count)
        self.addCleanup(self.cluster.close)
        self.daemons = []
        for number, node in enumerate(self.cluster.nodes, 1):
            self.daemons.append(self.start_daemon(number, node, self.cluster.settings(self._rule)))
            self._rule.begin(self.daemons[-1], number)
        self.cluster.serve(self.cluster, self._rule)

    def start_daemon(self, _, node, settings):
        return self.start_ubfd(node, settings)

    def assert_all_and_nobody_else(self, pairs, meanwhile=lambda: None):
        strangers = cluster.ring(self.count, 1)
        connector = self._rule.connector
        seen = self.cluster.connect(self.cluster, self._rule, {connector: pairs, "carol": strangers}, meanwhile)
        print(f"{self.id()}: {len(pairs)} in {seen[connector]['seconds']:.2f} s, p99 "
              f"{seen[connector]['p99'] * 1000:.0f} ms", flush=True)
        self.assertEqual(seen[connector]["ends"], {"connected": len(pairs)}, self.reasons())
        self.assertEqual(seen["carol"]["ends"], {"EHOSTUNREACH": len(strangers)}, self.reasons())

    def assert_all_patterns(self):
        for pattern in cluster.PATTERNS:
            with self.subTest(pattern.__name__):
                pairs = pattern(self.count, self.ranks)
                before = self.repeats()
                self.assert_all_and_nobody_else(pairs)
                repeats = self.repeats() - before
                print(f"{repeats / len(pairs):.2f} repeats a connection", flush=True)
                self.assertLessEqual(repeats, self.most_repeats * len(pairs))

    def reasons(self):
        """The number of verdicts by reason over all daemons, and the first denials of users other than the stranger."""
        reasons = collections.Counter()
        for ubfd in self.daemons:
            reasons.update(ubfd.status()["reasons"])
        return dict(+reasons), [line for ubfd in self.daemons for line in ubfd.denials() if "carol" not in line][:5]

    def repeats(self):
        return sum(ubfd.status()["ident"]["retransmissions"] for ubfd in self.daemons)


class User(Storm):
    def test_of_one_user(self):
        self.assert_all_patterns()

    def test_while_keys_rotate_and_daemons_reload(self):
        def rotate():
            old = (FOLDER / "key").read_text()
            new = write_key(FOLDER / "new").read_text()
            for keys in (old + new, new + old, new):  # three steps, as in the man page
                (FOLDER / "key").write_text(keys)
                for ubfd in self.daemons:
                    ubfd.reload()

        self.assert_all_and_nobody_else(cluster.all_to_all(self.count, 2 * self.ranks), rotate)


class Killed(Storm):
    def start_daemon(self, number, node, settings):
        supervisor = Supervisor(f"node{number}")
        self.addCleanup(supervisor.close)
        return self.start_ubfd(node, settings, supervisor=supervisor, words=["--leave-ruleset"])

    def test_while_daemons_are_killed(self):
        def kill():
            for ubfd in self.daemons[::2]:
                ubfd.kill()
                ubfd.start()

        self.assert_all_and_nobody_else(cluster.all_to_all(self.count, 2 * self.ranks), kill)


class Group(Storm):
    rule = rules.Group

    def test_of_one_group(self):
        self.assert_all_patterns()


class Map(Storm):
    rule = rules.Map

    def test_of_one_label_of_the_map(self):
        self.assert_all_patterns()


class Slurm(Storm):
    rule = rules.Slurm

    def test_of_one_label_of_slurms(self):
        self.assert_all_patterns()


class Required(Storm):
    rule = rules.Required

    def test_of_one_user_and_one_label_of_slurms(self):
        self.assert_all_patterns()


class ManyPeers(TwoNodes):
    """One node has thousands of addresses, and answers from each."""

    peers = 2000
    network = "10.80.0.0/16"

    def start_daemons(self):
        self.one.run("ip", "route", "add", "local", self.network, "dev", "lo")
        self.two.run("ip", "route", "add", self.network, "via", "10.77.0.1")
        settings = {"peers": {"ranges": [NETWORK, self.network]}}
        self.ubfd1, self.ubfd2 = (self.start_ubfd(node, settings) for node in (self.one, self.two))

    def test_that_were_never_asked_before_connect_to_one_node_at_once(self):
        server = Ranks(self.two, "alice", "serve", PORT).wait_until_ready()
        self.addCleanup(server.end)
        crowd = Ranks(self.one, "alice", "connect")
        self.addCleanup(crowd.end)
        crowd.prepare(f"10.80.{n // 250}.{n % 250 + 1} {V4} {PORT}" for n in range(self.peers))
        crowd.go()
        seen = crowd.result()
        print(f"{self.peers} peers: {seen}", flush=True)
        self.assertEqual(seen["ends"], {"connected": self.peers})
        self.assertEqual(seen["over_1s"], 0)
        self.assertEqual(self.ubfd2.status()["reasons"].get("overload", 0), 0)


if __name__ == "__main__":
    case.main()
