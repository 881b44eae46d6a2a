#!/usr/bin/python3
"""Nodes with a key of their own. On one of them root is hostile: it runs no ubfd, but has the node's key, the cluster
key, and a raw socket. It says what it likes, and nothing that it says counts beyond its own node and class."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, ident, identity, person  # noqa: E402
from lab.case import PROJ, USERS, Counted, wait_until  # noqa: E402
from lab.certified import CLASSES, HONEST, ROOTED, VICTIM, Certified  # noqa: E402
from lab.identity import DAY, HOUR, Authority, Rooted, introduction, put_roster  # noqa: E402
from lab.tree import FOLDER  # noqa: E402

PORT = 9001
DENIED = "EHOSTUNREACH"


class Identity(Certified):
    def attack(self, **options):
        """The victim's daemon, with a server of alice's behind it, and the rooted node's ident port."""
        self.ubfd = self.start(self.two, self.victim, **options)
        self.server = self.person("alice", self.two)
        self.server.listen("tcp", "0.0.0.0", PORT)
        self.bob = self.person("bob", self.one)
        key = (FOLDER / "key").read_text().split()[1]
        self.peer = Rooted(self.one, ROOTED, self.rooted, self.victim.keys.public, key)
        self.addCleanup(self.peer.close)

    def begin(self, where=None):
        """bob begins to connect from the rooted node. Returns the question, and a function that gives bob's view."""
        self.peer.drain()
        options = {"bind": (where, 0)} if where else {}
        handle = self.bob.do(person.send_to, "tcp", VICTIM, PORT, **options)
        self.peer.about = self.bob.do(person.local_address, handle)[1]
        return lambda timeout=3: self.bob.do(person.outcome, handle, timeout)

    def assert_reason(self, reason, uid, kind=ident.USER):
        outcome = self.begin()
        self.peer.tell_sealed(self.peer.question(), uid, kind)
        self.assertEqual(outcome(), DENIED)
        self.assert_denied(self.ubfd, f"reason={reason}")

    def assert_not_believed(self, lie, rejection=None, where=None):
        """lie() sends an answer that says alice, and nothing is allowed for it."""
        with Counted(self.ubfd) as counted:
            outcome = self.begin(where)
            lie()
            self.assertNotEqual(outcome(timeout=0.6), "connected")
        self.assertNotIn("same-user", counted.reasons())
        if rejection:
            self.assertGreater(counted[f"ident.rejected.{rejection}"], 0)

    def test_honest_nodes_talk_and_say_how_each_peer_is_proven(self):
        two, three = self.start(self.two, self.victim), self.start(self.three, self.honest)
        self.person("alice", self.two).listen("tcp", "::", PORT)
        with Counted(two) as counted:
            for address in (VICTIM, "fd77::2"):
                self.assertEqual(self.person("alice", self.three).connect("tcp", address, PORT), "connected")
                self.assertEqual(self.person("bob", self.three).connect("tcp", address, PORT), DENIED)
        self.assertEqual(counted.reasons(), {"same-user": 2, "different-user": 2})
        proofs = {peer["address"]: peer["proof"] for peer in two.status()["peers"]}
        self.assertEqual(proofs, {HONEST: "certificate 3 of honest (login)", "fd77::3": "certificate 3 of honest (login)"})
        self.assertIn("identity  certificate 2 of victim (login); roster 1: 3 certificates, 0 revoked; certificates are "
                      "required\n", two.ctl("status").stdout)
        self.assertIn("certificate 3 of honest", two.ctl("peers", "-o", "+proof").stdout)
        self.assert_alive(two, three)

    def test_a_rooted_node_speaks_for_its_class_alone(self):
        self.attack(policy={"exempt_connectors": ["service"]})
        outcome = self.begin()
        self.peer.tell_sealed(self.peer.question(), USERS["alice"])  # may be there: it is believed
        self.assertEqual(outcome(), "connected")
        self.assert_reason("class", 0)
        self.assert_reason("class", USERS["carol"])
        self.assert_reason("class", USERS["service"])  # exempt, but not from that class
        self.assert_reason("class", 0, ident.KERNEL)

    def test_a_rooted_node_cannot_claim_groups_where_its_class_has_none(self):
        for groups, outcome in ((True, "connected"), (False, DENIED)):
            classes = CLASSES | {"compute": CLASSES["compute"] | {"groups": groups}}
            if groups:
                self.attack(classes=classes)
                self.dismiss(self.server)
                self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", PORT)
            else:
                self.ubfd.configure(self.settings_of(self.victim, classes=classes))
                self.ubfd.reload()
            seen = self.begin()
            question = self.peer.question()
            entry = ident.answer_with_groups(question.nonce, USERS["bob"], [PROJ])
            self.peer.send(self.peer.seal(entry, question.asker, channel=question.channel), question.asker)
            self.assertEqual(seen(), outcome)

    def grant(self, uid, node="rooted", granter=None, valid=(-HOUR, HOUR)):
        granter, now = granter or self.scheduler, int(time.time())
        return identity.make.grant(granter.keys.signer, granter.serial, uid, 7, node,
                                   valid=(now + valid[0], now + valid[1]))

    def with_scheduler(self):
        """A class whose nodes need a grant, and a node that gives them. Returns the classes."""
        self.scheduler = self.authority.member("ctl", ["10.77.0.9/32"], "service", grants=True)
        self.members.append(self.scheduler)
        put_roster(self.authority.roster(self.members))
        return CLASSES | {"compute": CLASSES["compute"] | {"vouch": "jobs"}}

    def test_a_rooted_node_speaks_for_users_with_a_grant_alone(self):
        self.attack(classes=self.with_scheduler())
        alice, bob = USERS["alice"], USERS["bob"]
        bad = {"none": [], "another user's": [self.grant(bob)], "another node's": [self.grant(alice, "honest")],
               "over": [self.grant(alice, valid=(-DAY, -HOUR))], "not yet": [self.grant(alice, valid=(HOUR, DAY))],
               "its own": [self.grant(alice, granter=self.rooted)],
               "forged": [identity.make.grant(self.rooted.keys.signer, self.scheduler.serial, alice, 7, "rooted",
                                              valid=(0, int(time.time()) + DAY))],
               "changed": [self.grant(alice)[:-1] + b"x"], "root's": [self.grant(0)]}
        for what, grants in bad.items():
            with self.subTest(what):
                outcome = self.begin()
                self.peer.tell_sealed(self.peer.question(), alice, grants=grants)
                self.assertEqual(outcome(), DENIED)
        self.assert_denied(self.ubfd, "reason=no-grant")
        for grants in ([self.grant(alice)], []):  # the second time, it is known
            outcome = self.begin()
            self.peer.tell_sealed(self.peer.question(), alice, grants=grants)
            self.assertEqual(outcome(), "connected")
        self.assert_reason("class", 0)  # a grant for root does not widen the class
        put_roster(self.authority.roster(self.members, [self.scheduler.serial]))
        self.ubfd.wait_for_log("1 revoked")
        self.assert_reason("no-grant", alice)

    def test_a_grant_comes_with_the_job_and_goes_with_it(self):
        classes = self.with_scheduler()
        self.honest = self.authority.member("honest", [f"{HONEST}/32"], keys=self.honest.keys)
        self.members[2] = self.honest
        put_roster(self.authority.roster(self.members))
        two, three = (self.start(*pair, classes=classes) for pair in ((self.two, self.victim), (self.three, self.honest)))
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        client = self.person("alice", self.three)
        self.assertEqual(client.connect("tcp", VICTIM, PORT), DENIED)
        self.assert_denied(two, "reason=no-grant")
        text = FOLDER / "grant"
        words = ("job", "begin", "--job", "7", "--label", "x", "--grant", text)
        text.write_text(identity.make.armour("GRANT", self.grant(USERS["bob"], "honest")))
        self.assertIn("grant is for uid", three.ctl(*words, "--uid", str(USERS["alice"])).stderr)
        text.write_text(identity.make.armour("GRANT", self.grant(USERS["alice"], "honest", valid=(-HOUR, 5))))
        self.assertEqual(three.ctl(*words, "--uid", str(USERS["alice"])).returncode, 0)
        self.assertEqual(client.connect("tcp", VICTIM, PORT), "connected")
        three.ctl("job", "end", "--job", "7")
        wait_until(lambda: client.connect("tcp", VICTIM, PORT) == DENIED, 9, "the end of the grant")
        self.assert_alive(two, three)

    def test_the_cluster_key_is_worthless(self):
        self.attack()
        question = None

        def lie():
            nonlocal question
            question = self.peer.question()
            self.peer.tell(question, USERS["alice"], ROOTED)
        self.assert_not_believed(lie, "no-certificate")
        with Counted(self.ubfd) as counted:  # nor does anybody learn who listens
            entry = ident.question(ident.flow((VICTIM, PORT), (ROOTED, 9100)), role=2)
            self.peer.send(ident.datagram([entry], (ROOTED, ident.PORT), (VICTIM, ident.PORT), self.peer.key, channel=0,
                                          kind=ident.QUESTION, own_channel=1), (VICTIM, ident.PORT))
            wait_until(lambda: counted_now(self.ubfd, "no-certificate") > 0, 2, "a rejection")
        self.assertEqual(counted["ident.answered"], 0)

    def test_a_node_that_takes_anothers_address_cannot_answer_there(self):
        self.attack()
        self.one.run("ip", "address", "add", f"{HONEST}/24", "dev", "eth0")  # the honest node is away
        ask = []

        def lie():
            data, sender = self.peer.receive()
            self.assertIsNone(identity.opened(data, sender, (HONEST, ident.PORT), self.rooted.keys, self.peer.other))
            ask.append(sender)
            for channel in range(1, 8):
                self.peer.send(self.peer.seal(ident.answer(bytes(8), USERS["alice"]), sender, HONEST, channel=channel),
                               sender, HONEST)
            gone = bytes(8) + ident.flow((HONEST, 9100), (VICTIM, PORT))  # nor does it take back the other's flows
            self.peer.send(self.peer.seal(gone, (VICTIM, ident.PORT), HONEST, kind=ident.GONE, channel=0),
                           (VICTIM, ident.PORT), HONEST)
        with Counted(self.ubfd) as counted:
            self.assert_not_believed(lie, "no-certificate", where=HONEST)
        self.assertEqual((len(ask), counted["ident.gone_received"]), (1, 0))
        gone = bytes(8) + ident.flow((HONEST, 9100), (VICTIM, PORT))  # in its own name neither
        with Counted(self.ubfd) as counted:
            self.peer.send(self.peer.seal(gone, (VICTIM, ident.PORT), kind=ident.GONE, channel=0), (VICTIM, ident.PORT))
            wait_until(lambda: counted_now(self.ubfd, "not-theirs") > 0, 2, "a rejection")
        self.assertEqual(counted["ident.gone_received"], 0)

    def test_bad_certificates_are_learnt_from_nobody(self):
        self.attack(roster=False)
        other = Authority()
        keys = self.rooted.keys
        mine = [f"{ROOTED}/32"]
        revoked = self.authority.member("rooted", mine, keys=keys)
        put_roster(self.authority.roster([], [revoked.serial]))
        good = self.authority.member("rooted", mine, keys=keys).certificate
        bad = {
            "expired": self.authority.member("rooted", mine, keys=keys, valid=(-DAY, -HOUR)).certificate,
            "future": self.authority.member("rooted", mine, keys=keys, valid=(HOUR, DAY)).certificate,
            "truncated": good[:-1],
            "signed again": other.signer.sign(good[:-64]),
            "of another cluster": other.member("rooted", mine, keys=keys).certificate,
            "of another address": self.authority.member("rooted", [f"{HONEST}/32"], keys=keys).certificate,
            "changed": good[:12] + bytes([good[12] ^ 1]) + good[13:],
        }
        for what, certificate in bad.items():
            with self.subTest(what):
                before = counted_now(self.ubfd, "no-certificate")
                self.peer.send(introduction(certificate), (VICTIM, ident.PORT))
                wait_until(lambda least=before: counted_now(self.ubfd, "no-certificate") > least, 2, "a rejection")
                self.assertEqual(self.hears(), "nothing")
        self.peer.send(introduction(good), (VICTIM, ident.PORT))
        wait_until(lambda: self.hears() == "an answer", 3, "an answer")

    def hears(self):
        """Asks the victim as the rooted node, sealed. Returns whether it answers."""
        self.peer.drain()
        entry = ident.question(ident.flow((VICTIM, PORT), (ROOTED, 9100)), role=2)
        to = (VICTIM, ident.PORT)
        self.peer.send(self.peer.seal(entry, to, kind=ident.QUESTION, channel=0, own_channel=1), to)
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            try:
                data, sender = self.peer.receive(timeout=0.2)
            except TimeoutError:
                break
            plain = identity.opened(data, sender, (ROOTED, ident.PORT), self.rooted.keys, self.peer.other)
            if plain and ident.answers_in(plain):
                return "an answer"
        return "nothing"

    def test_a_datagram_opens_for_its_pair_direction_and_epoch_alone(self):
        self.attack()
        recorded = []

        def record():
            question = self.peer.question()
            recorded.append(self.peer.seal(ident.answer(question.nonce, USERS["bob"]), question.asker,
                                           channel=question.channel))
            key = self.honest.keys  # another pair's key in the rooted node's name
            self.peer.tell_sealed(question, USERS["alice"], keys=key)
            data = self.peer.seal(ident.answer(question.nonce, USERS["alice"]), question.asker, channel=question.channel)
            for changed in (data[:16] + bytes([data[16] ^ 1]) + data[17:],  # the clock, and so the epoch
                            data[:17] + bytes([data[17] ^ 0x80]) + data[18:],
                            data[:30] + bytes([data[30] ^ 1]) + data[31:], data[:-1] + bytes([data[-1] ^ 1])):
                self.peer.send(changed, question.asker)
        self.assert_not_believed(record, "wrong-key")

    def test_a_revoked_serial_is_refused_within_a_second_and_its_flows_end(self):
        two, three = self.start(self.two, self.victim), self.start(self.three, self.honest)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        client = self.person("alice", self.three)
        flow = client.connect("tcp", VICTIM, PORT)
        self.assertEqual(flow, "connected")
        put_roster(self.authority.roster(self.members, [self.honest.serial]))
        begun = time.monotonic()
        two.wait_for_log("1 revoked")
        self.assertLess(time.monotonic() - begun, 1.5)
        self.assertEqual(self.person("alice", self.three).connect("tcp", VICTIM, PORT), DENIED)
        self.assert_denied(two, "reason=no-certificate")
        wait_until(lambda: client.do(person.say, flow.handle) != "hello", 5, "the end of the flow")
        self.assertEqual(two.status()["identity"]["roster"]["revoked"], 1)
        put_roster(self.authority.roster(self.members, number=1))  # an older one, without the revoked serial
        two.wait_for_log("older")
        two.stop()
        two.start()  # nor does a restart bring the serial back
        two.wait_for_log("older")
        roster = two.status()["identity"]["roster"]
        self.assertEqual((roster["number"], roster["revoked"]), (2, 1))
        self.assert_alive(two, three)

    def test_nodes_that_no_roster_has_introduce_themselves(self):
        two, three = self.start(self.two, self.victim, roster=False), self.start(self.three, self.honest, roster=False)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        self.assertEqual(self.person("alice", self.three).connect("tcp", VICTIM, PORT), "connected")
        self.assertEqual(self.person("bob", self.three).connect("tcp", VICTIM, PORT), DENIED)
        self.assertIn("of honest", two.status()["peers"][0]["proof"])
        self.assert_alive(two, three)

    def test_a_node_changes_its_key_without_a_refusal(self):
        two, three = self.start(self.two, self.victim), self.start(self.three, self.honest)
        client = self.person("alice", self.three)
        for node in (self.two, self.three):
            self.person("alice", node).listen("tcp", "0.0.0.0", PORT)
        server = self.person("alice", self.two)

        def talk():
            self.assertEqual(client.connect("tcp", VICTIM, PORT), "connected")
            self.assertEqual(server.connect("tcp", HONEST, PORT), "connected")
        talk()
        fresh = self.authority.member("honest", ["10.77.0.3/32", "fd77::3/128"], "login")
        fresh.previous = self.honest.keys  # the peer's roster has the old certificate alone
        three.configure(self.settings_of(fresh))
        three.reload()
        talk()
        put_roster(self.authority.roster([self.victim, fresh], [self.honest.serial]))
        two.wait_for_log("1 revoked")
        three.wait_for_log("1 revoked")
        talk()
        self.assertIn(f"certificate {fresh.serial} of honest", two.status()["peers"][0]["proof"])
        self.assertEqual((two.denials(), three.denials()), ([], []))

    def test_certificates_come_node_by_node_without_a_refusal(self):
        plain = {"peers": {"ranges": case.PEERS}}
        two, three = self.start_ubfd(self.two, plain), self.start_ubfd(self.three, plain)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        client = self.person("alice", self.three)

        def proofs():
            for _ in range(2):
                self.assertEqual(client.connect("tcp", VICTIM, PORT), "connected")
            return [peer["proof"] for peer in two.status()["peers"]]
        self.assertEqual(proofs(), ["cluster key"])
        for daemon, settings, proof in ((two, self.settings_of(self.victim, required=False), "cluster key"),
                                        (three, self.settings_of(self.honest, required=False), "certificate"),
                                        (two, self.settings_of(self.victim), "certificate"),
                                        (three, self.settings_of(self.honest), "certificate"),
                                        (three, self.settings_of(self.honest, required=False), "certificate"),
                                        (two, self.settings_of(self.victim, required=False), "certificate"),
                                        (three, plain, "cluster key")):
            daemon.configure(settings)
            daemon.reload()
            self.assertEqual(client.connect("tcp", VICTIM, PORT), "connected")
            wait_until(lambda want=proof: want in proofs()[0], 3, f"{proof} in {proofs()}")
        self.assertEqual((two.denials(), three.denials()), ([], []))

    def test_no_cluster_key_is_needed_where_certificates_are_required(self):
        none = FOLDER / "nowhere"
        two, three = (self.start_ubfd(node, self.settings_of(member), key=none)
                      for node, member in ((self.two, self.victim), (self.three, self.honest)))
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        self.assertEqual(self.person("alice", self.three).connect("tcp", VICTIM, PORT), "connected")
        self.assertIn("no cluster key counts\n", two.ctl("status").stdout)
        checked = two.ctl("check-config", two.config).stdout
        self.assertIn("no cluster key is read", checked)
        self.assertNotIn(str(none), checked)
        two.configure(self.settings_of(self.victim, required=False))
        self.assertIn(f"{none}: no such file", two.ctl("reload").stderr)
        self.assertEqual(self.person("alice", self.three).connect("tcp", VICTIM, PORT), "connected")
        self.assert_alive(two, three)

    def test_a_bad_identity_keeps_ubfd_from_starting(self):
        good = self.settings_of(self.victim)
        for key, value, says in (
                ("certificate", self.honest.files()["certificate"], "of another key"),
                ("key", "/nonexistent", "No such file"),
                ("authorities", [Authority().line], "other-authority"),
                ("roster", str(FOLDER / "passwd"), "no UBF ROSTER")):
            own = good | {"identity": good["identity"] | {key: value}}
            with self.subTest(key), self.assertRaisesRegex(Exception, says):
                self.start_ubfd(self.two, own)
        pathlib.Path(good["identity"]["key"]).chmod(0o640)
        with self.assertRaisesRegex(Exception, "lets others in"):
            self.start_ubfd(self.two, good)


def counted_now(ubfd, rejection):
    return ubfd.status()["ident"]["rejected"].get(rejection, 0)


if __name__ == "__main__":
    case.main()
