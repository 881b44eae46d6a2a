#!/usr/bin/python3
"""The kernel recognises connections between nodes that have certificates, by keys that each pair of nodes shares. Root
of one node is hostile: it has that node's key, the cluster key, and a raw socket, and stamps SYNs as it likes."""

import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, identity, person, stamps  # noqa: E402
from lab.case import USERS, Counted, wait_until  # noqa: E402
from lab.certified import CLASSES, HONEST, ROOTED, VICTIM, Certified  # noqa: E402
from lab.identity import HOUR, Rooted, put_roster  # noqa: E402
from lab.tree import FOLDER  # noqa: E402

PORT, OTHERS = 9001, 9002
VICTIM6, DENIED = "fd77::2", "EHOSTUNREACH"
RECOGNISED, ASKED = ({"recognised": 1}, {}), {"same-user": 1}


class Stamps(Certified):
    recognise = True
    own_roster = None  # of the honest node

    def start_both(self, required=True, **options):
        self.ubfd = self.start(self.two, self.victim, required=required, **options)
        settings = self.settings_of(self.honest, required=required, **options)
        settings["identity"]["roster"] = str(self.own_roster or self.roster)
        self.peer = self.start_ubfd(self.three, settings)
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.alice = self.person("alice", self.three)

    def connect(self, somebody=None, address=VICTIM, daemon=None):
        """Returns how it ends, the counters of stamps that grew, and the reasons for ubfd's verdicts."""
        with Counted(daemon or self.ubfd) as counted:
            seen = str((somebody or self.alice).connect("tcp", address, PORT))
        return seen, grown(counted), counted.reasons()

    def assert_recognised(self, *args, **options):
        self.assertEqual(self.connect(*args, **options), ("connected", *RECOGNISED))

    def assert_asked(self, count, *args, **options):
        self.assertEqual(self.connect(*args, **options), ("connected", {count: 1}, ASKED))

    def test_one_users_connections_are_recognised_once_the_nodes_know_each_other(self):
        self.start_both()
        bob = self.person("bob", self.three)
        for address in (VICTIM, VICTIM6):
            self.assert_asked("unstamped", address=address)
            self.assert_recognised(address=address)
            self.assertEqual(self.connect(bob, address), (DENIED, {"unfit": 1}, {"different-user": 1}))
        carol = self.person("carol", self.three)
        self.person("carol", self.two).listen("tcp", "0.0.0.0", OTHERS)
        with Counted(self.ubfd) as counted:  # nobody was asked about carol yet
            self.assertEqual(carol.connect("tcp", VICTIM, OTHERS), "connected")
        self.assertEqual((grown(counted), counted.reasons()), ({"unvouched": 1}, ASKED))
        self.person("alice", self.three).listen("tcp", "0.0.0.0", PORT)  # the other way the keys are there, and no word
        back = self.person("alice", self.two)
        self.assert_asked("unvouched", back, HONEST, self.peer)
        self.assert_recognised(back, HONEST, self.peer)
        self.assertEqual(back.connect("tcp", "127.0.0.1", PORT), "connected")
        self.assertEqual(self.ubfd.status()["recognition"]["recognised"], 3)
        self.ubfd.reload()
        self.assertEqual(self.connect()[::2], ("connected", ASKED))
        self.assert_recognised()
        self.assert_alive(self.ubfd, self.peer)

    def test_a_stamp_of_a_revoked_node_is_worthless_within_a_second(self):
        self.own_roster = put_roster(self.roster.read_text(), FOLDER / "roster.own")  # it never hears of it
        self.start_both()
        self.assert_asked("unstamped")
        self.assert_recognised()
        put_roster(self.authority.roster(self.members, [self.rooted.serial]))  # another's: nobody is refused
        self.ubfd.wait_for_log("1 revoked")
        self.assertEqual(self.connect()[0], "connected")
        wait_until(lambda: self.connect() == ("connected", *RECOGNISED), 3, "recognition")
        put_roster(self.authority.roster(self.members, [self.honest.serial]))
        begun = time.monotonic()
        self.ubfd.wait_for_log("roster 3")
        self.assertLess(time.monotonic() - begun, 1.5)
        self.assertEqual(self.connect(), (DENIED, {"foreign_key": 1}, {"no-certificate": 1}))

    def test_a_user_is_recognised_for_as_long_as_the_grant(self):
        scheduler = self.authority.member("ctl", ["10.77.0.9/32"], "service", grants=True)
        self.honest = self.authority.member("honest", [f"{HONEST}/32"], keys=self.honest.keys)
        self.members = [self.rooted, self.victim, self.honest, scheduler]
        put_roster(self.authority.roster(self.members))
        self.start_both(classes=CLASSES | {"compute": CLASSES["compute"] | {"vouch": "jobs"}})
        for _ in range(2):
            self.assertEqual(self.connect()[::2], (DENIED, {"no-grant": 1}))
        now, text = int(time.time()), FOLDER / "grant"
        grant = identity.make.grant(scheduler.keys.signer, scheduler.serial, USERS["alice"], 7, "honest",
                                    valid=(now - HOUR, now + 6))
        text.write_text(identity.make.armour("GRANT", grant))
        self.peer.ctl("job", "begin", "--job", "7", "--label", "x", "--grant", text, "--uid", str(USERS["alice"]))
        self.assert_asked("unvouched")
        self.assert_recognised()
        wait_until(lambda: self.connect() == (DENIED, {"unvouched": 1}, {"no-grant": 1}), 12, "the end of the grant")

    def test_until_certificates_are_required_the_pairs_key_takes_the_clusters_place(self):
        self.start_both(required=False)
        self.assert_recognised()  # by the cluster key
        self.assertEqual(self.connect(self.person("bob", self.three))[2], {"different-user": 1})
        wait_until(lambda: "certificate" in self.ubfd.status()["peers"][0]["proof"], 3, "a proof")
        self.assertEqual(self.connect()[::2], ("connected", ASKED))
        wait_until(lambda: self.connect() == ("connected", *RECOGNISED), 3, "recognition")
        hand = ByHand(self, self.three, HONEST)
        self.assertEqual(hand.judged(stamps.of_cluster(hand.cluster_key), "alice"), {"foreign_key": 1})

    def test_a_rooted_node_stamps_for_itself_alone(self):
        self.start_both(classes=CLASSES)
        self.person("carol", self.two).listen("tcp", "0.0.0.0", OTHERS)
        self.assert_asked("unstamped")  # the honest node is known, and alice there
        self.tell_of_alice()
        hand = ByHand(self, self.one, ROOTED)
        mine, victims = self.rooted.keys, self.victim.keys.public
        shared = mine.shared_key(victims)
        own = stamps.of_pair(shared, mine.public, victims)
        as_honest = stamps.Key(own.derived, identity.key_id(self.honest.keys.public) & 0xff)
        cluster = stamps.of_cluster(hand.cluster_key)
        self.assertEqual(hand.judged(own, "alice"), {"recognised": 1})  # as its word would be
        self.assertEqual(hand.judged(own, "alice", packets=2).get("recognised"), 1)
        reflected = stamps.of_pair(shared, victims, mine.public)
        later = stamps.of_pair(shared, mine.public, victims, time.time() + 2 * 4195)
        for what, key, user, options, expected in (
                ("for a user of another class", own, "carol", {"port": OTHERS}, "unvouched"),
                ("for who does not listen", own, "bob", {}, "unfit"),
                ("as the honest node", own, "alice", {"source": HONEST}, "foreign_key"),
                ("with its key's id", as_honest, "alice", {"source": HONEST}, "unfit"),
                ("as a node that nobody knows", own, "alice", {"source": "10.77.0.7"}, "foreign_key"),
                ("by the cluster key", cluster, "alice", {}, "foreign_key"),
                ("by the cluster key, with the own key's id", stamps.Key(cluster.derived, own.id), "alice", {}, "unfit"),
                ("by the cluster key, as another", cluster, "alice", {"source": HONEST}, "foreign_key"),
                ("by the cluster key, as nobody", cluster, "alice", {"source": "10.77.0.7"}, "foreign_key"),
                ("by the key of the other direction", reflected, "alice", {}, "foreign_key"),
                ("with the own key's id", stamps.Key(reflected.derived, own.id), "alice", {}, "unfit"),
                ("by another epoch's key", later, "alice", {}, "unfit")):
            with self.subTest(what):
                self.assertEqual(hand.judged(key, user, **options), {expected: 1})
        self.assert_alive(self.ubfd)

    def tell_of_alice(self):
        """bob connects from the rooted node, which says that it is alice; so her word counts from there."""
        rooted = Rooted(self.one, ROOTED, self.rooted, self.victim.keys.public)
        self.addCleanup(rooted.close)
        bob = self.person("bob", self.one)
        handle = bob.do(person.send_to, "tcp", VICTIM, PORT)
        rooted.tell_sealed(rooted.question(), USERS["alice"])
        self.assertEqual(bob.do(person.outcome, handle, 3), "connected")


class ByHand:
    """Sends SYNs from a raw socket on a node, and counts what they come to at the victim's."""

    def __init__(self, test, node, source):
        self.cluster_key = (FOLDER / "key").read_text().split()[1]
        self._test, self._node, self._source, self._port = test, node, source, 20000
        node.run("nft", "add table ip quiet; add chain ip quiet out { type filter hook output priority 0; }; "
                 "add rule ip quiet out tcp flags rst drop")

    def judged(self, key, user, source=None, port=PORT, packets=1):
        self._port += 1
        begin, end = (source or self._source, self._port), (VICTIM, port)
        options = stamps.PLAIN + stamps.stamp(begin, end, 1000, USERS[user], key)
        before = sum(stamps_seen(self._test.ubfd.status()))
        with Counted(self._test.ubfd) as counted:
            with self._node.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
                for _ in range(packets):
                    raw.sendto(stamps.syn(begin, end, 1000, options), (VICTIM, 0))
            wait_until(lambda: sum(stamps_seen(self._test.ubfd.status())) >= before + packets, 2, "the packets")
        return grown(counted)


NAMES = ("recognised", "unstamped", "foreign_key", "other_time", "unfit", "unvouched", "repeated", "no_listener")


def stamps_seen(status):
    return [status["recognition"][name] for name in NAMES]


def grown(counted):
    return {name: counted[f"recognition.{name}"] for name in NAMES if counted[f"recognition.{name}"]}


if __name__ == "__main__":
    case.main()
