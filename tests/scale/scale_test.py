#!/usr/bin/python3
"""The start of a big job: everybody connects to everybody at once, on many nodes, while daemons reload, rotate keys or
are killed. Nothing that is allowed is refused or lost, and nobody else gets in."""

import collections
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, cgroups  # noqa: E402
from lab.case import USERS, V4, Case, TwoNodes  # noqa: E402
from lab.supervisor import Supervisor  # noqa: E402
from lab.tree import FOLDER  # noqa: E402
from lab.ubfd import write_key  # noqa: E402
from scale import cluster  # noqa: E402
from scale.cluster import NETWORK, PORT, Ranks, address  # noqa: E402

EVERYBODY = {"allow": ["alice", "bob"]}


class Storm(Case):
    """The listener's ranks listen on every node, and the connector's connect; carol is a stranger."""

    count, ranks = 6, 4
    most_repeats = 1  # a connection, of a machine that may be busy
    listener, connector, group = "alice", "alice", None
    # From 16 nodes on nobody tells ahead, so that nobody does here.
    settings = {"peers": {"ranges": [NETWORK]}, "ident": {"push": False}}

    def setUp(self):
        super().setUp()
        self.key = write_key(FOLDER / "key")
        self.nodes = cluster.make_nodes(self.count)
        self.daemons = [self.start_daemon(number, node) for number, node in enumerate(self.nodes, 1)]
        for number, node in enumerate(self.nodes, 1):
            self.play(number, node, self.listener, "serve", PORT, group=self.group).wait_until_ready()

    def start_daemon(self, _, node):
        return self.start_ubfd(node, self.settings)

    def play(self, _, node, user, *words, **options):
        ranks = Ranks(node, user, *words, **options)
        self.addCleanup(ranks.end)
        return ranks

    def connect(self, wanted, meanwhile=lambda: None):
        """wanted: by user, which nodes connect to which. All at once; what became of it, by user."""
        players = {}
        for user, pairs in wanted.items():
            for number, node in enumerate(self.nodes, 1):
                lines = [f"{address(one)} {address(other)} {PORT}" for one, other in pairs if one == number]
                if lines:
                    players[user, number] = self.play(number, node, user, "connect")
                    players[user, number].prepare(lines)
        for ranks in players.values():
            ranks.go()
        meanwhile()
        return {user: cluster.together([ranks.result() for (one, _), ranks in players.items() if one == user])
                for user in wanted}

    def assert_all_and_nobody_else(self, pairs, meanwhile=lambda: None):
        strangers = cluster.ring(self.count, 1)
        seen = self.connect({self.connector: pairs, "carol": strangers}, meanwhile)
        print(f"{self.id()}: {len(pairs)} in {seen[self.connector]['seconds']:.2f} s, p99 "
              f"{seen[self.connector]['p99'] * 1000:.0f} ms", flush=True)
        self.assertEqual(seen[self.connector]["ends"], {"connected": len(pairs)}, self.reasons())
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
        """Of all daemons, and what they said of others than the stranger."""
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
            for keys in (old + new, new + old, new):  # three passes, as the man page says
                (FOLDER / "key").write_text(keys)
                for ubfd in self.daemons:
                    ubfd.reload()

        self.assert_all_and_nobody_else(cluster.all_to_all(self.count, 2 * self.ranks), rotate)


class Killed(Storm):
    def start_daemon(self, number, node):
        supervisor = Supervisor(f"node{number}")
        self.addCleanup(supervisor.close)
        return self.start_ubfd(node, self.settings, supervisor=supervisor, words=["--leave-ruleset"])

    def test_while_daemons_are_killed(self):
        def kill():
            for ubfd in self.daemons[::2]:
                ubfd.kill()
                ubfd.start()

        self.assert_all_and_nobody_else(cluster.all_to_all(self.count, 2 * self.ranks), kill)


class Group(Storm):
    """bob is a member of the group that alice's ranks run under."""

    connector, group = "bob", case.PROJ

    def test_of_one_group(self):
        self.assert_all_patterns()


class Map(Storm):
    connector = "bob"

    def start_daemon(self, _, node):
        state = tempfile.mkdtemp(dir="/run")
        self.addCleanup(shutil.rmtree, state)
        labels = {"map": {"team": ["alice", "bob"]}, "state_directory": state}
        return self.start_ubfd(node, self.settings | {"labels": labels})

    def test_of_one_label_of_the_map(self):
        self.assert_all_patterns()


class WithJobs(Storm):
    """alice's job and bob's have one label of Slurm's; carol is in none."""

    connector = "bob"
    policy = {"labels": {"slurm:physics": EVERYBODY}}

    def setUp(self):
        self._cgroups = cgroups.JobCgroups()
        self.addCleanup(self._cgroups.close)
        super().setUp()

    def start_daemon(self, number, node):
        state = tempfile.mkdtemp(dir="/run")
        self.addCleanup(shutil.rmtree, state)
        ubfd = self.start_ubfd(node, self.settings | {"labels": {"slurm": True, "state_directory": state},
                                                      "policy": self.policy})
        for user in {self.listener, self.connector}:
            answer = ubfd.ask(**{"command": "job-begin", "job": self._job(user, number), "uid": USERS[user],
                                 "label": "physics"})
            self.assertTrue(answer["ok"], answer)
        return ubfd

    @staticmethod
    def _job(user, number):
        """Of the machine's cgroups all nodes of the test see all: so each has a job of its own."""
        return USERS[user] % 10 * 1000 + number

    def play(self, number, node, user, *words, **options):
        ranks = super().play(number, node, user, *words, **options)
        if user in (self.listener, self.connector):
            self._cgroups.put(ranks.pid, USERS[user], self._job(user, number))
        return ranks


class Label(WithJobs):
    def test_of_one_label_of_slurms(self):
        self.assert_all_patterns()


class RequiredLabel(WithJobs):
    """One user's own job, where labels must be the same."""

    connector = "alice"
    policy = WithJobs.policy | {"require_label": True}

    def test_of_one_user_and_one_label_of_slurms(self):
        self.assert_all_patterns()


class ManyPeers(TwoNodes):
    """One node that has thousands of addresses, and answers from each."""

    peers = 2000
    network = "10.80.0.0/16"

    def start_daemons(self):
        self.one.run("ip", "route", "add", "local", self.network, "dev", "lo")
        self.two.run("ip", "route", "add", self.network, "via", "10.77.0.1")
        settings = {"peers": {"ranges": [NETWORK, self.network]}, "ident": {"push": False}}
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
