#!/usr/bin/python3
"""ident against peers that are silent, late, wrong, or lie. node1 runs no ubfd here unless a test says so: the test
itself answers in its place."""

import pathlib
import random
import secrets
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, ident, person, write_key  # noqa: E402
from lab.case import USERS, V4, V6, Counted, TwoNodes, refused  # noqa: E402

PORT = 9001
HERE, ASKER = "10.77.0.1", (V4, ident.PORT)  # the liar's address, and the address it lies to
DENIED = "EHOSTUNREACH"


class OneSided(TwoNodes):
    settings = {"ident": {"deadline_ms": 300}}

    def start_daemons(self):
        self.secret = secrets.token_hex(32)
        write_key(self.key, self.secret)
        self.ubfd2 = self.start_ubfd(self.two)
        self.peer = ident.Peer(self.one, self.secret)
        self.addCleanup(self.peer.close)
        self.bob = self.person("bob", self.one)
        self.server = self.person("alice", self.two)
        self.handles = {protocol: self.server.listen(protocol, "::", PORT) for protocol in ("tcp", "udp")}

    def start_bob(self, protocol="tcp", address=V4):
        """Begins to connect. Returns the question about the flow, and a function that returns bob's view in the end."""
        handle = self.bob.do(person.send_to, protocol, address, PORT)
        return self.peer.question(), lambda timeout=3: self.bob.do(person.outcome, handle, timeout)


class Truth(OneSided):
    def test_a_true_answer_decides(self):
        for protocol, success in (("tcp", "connected"), ("udp", "hello")):
            for family, address, here in (("v4", V4, HERE), ("v6", V6, "fd77::1")):
                denied = refused(protocol, family)
                question, outcome = self.start_bob(protocol, address)
                self.peer.tell(question, USERS["bob"], here)
                self.assertEqual(outcome(), denied)
                # If bob were alice: the test's own answers are believed.
                question, outcome = self.start_bob(protocol, address)
                self.peer.tell(question, USERS["alice"], here)
                self.assertEqual(outcome(), success)

    def test_a_socket_that_nobody_knows_is_refused(self):
        question, outcome = self.start_bob()
        entry = ident.answer(question.nonce, USERS["alice"], ident.UNKNOWN)
        self.peer.send(ident.datagram([entry], (HERE, ident.PORT), question.asker, self.peer.key,
                                      channel=question.channel), question.asker)
        self.assertEqual(outcome(), DENIED)
        self.assert_denied(self.ubfd2, "reason=connector-unknown")

    def test_a_peer_cannot_say_that_it_is_outside(self):
        question, outcome = self.start_bob()
        with Counted(self.ubfd2) as counted:
            entry = ident.answer(question.nonce, USERS["alice"], kind=5)
            self.peer.send(ident.datagram([entry], (HERE, ident.PORT), question.asker, self.peer.key,
                                          channel=question.channel), question.asker)
            self.assertEqual(outcome(), "EHOSTUNREACH")
        self.assertEqual(counted["ident.rejected.malformed"], 1)
        self.assertEqual(set(counted.reasons()), {"no-answer", "no-answer-yet"})

    def test_an_answer_that_was_lost_is_asked_for_again(self):
        lost, outcome = self.start_bob()
        self.peer._last = None  # the peer hands out the retransmitted question too
        again = self.peer.question()
        self.assertEqual(again.nonce, lost.nonce)
        self.peer.tell(again, USERS["alice"], HERE)
        self.assertEqual(outcome(), "connected")


    def test_answers_that_come_twice_or_in_another_order_are_each_taken_once(self):
        begun = [self.start_bob() for _ in range(3)]
        with Counted(self.ubfd2) as counted:
            for question, _ in reversed(begun):
                data = self.peer.tell(question, USERS["alice"], HERE)
                self.peer.send(data, question.asker, HERE)
            for _, outcome in begun:
                self.assertEqual(outcome(), "connected")
            time.sleep(0.1)
        self.assertEqual((counted.reasons(), counted["ident.rejected.unasked"]), ({"same-user": 3}, 3))

    def test_a_question_that_comes_twice_is_answered_once(self):
        client = self.person("alice", self.two)
        self.person("alice", self.one).listen("tcp", "0.0.0.0", PORT)  # no ubfd asks on node1
        self.assertEqual(client.connect("tcp", HERE, PORT, bind=(V4, 9100)), "connected")
        flow = b"\6\0" + (9100).to_bytes(2, "big") + PORT.to_bytes(2, "big") + ident._bytes(V4) + ident._bytes(HERE)
        entry = secrets.token_bytes(8) + b"\1\0" + bytes(4) + flow
        data = ident.datagram([entry], (HERE, ident.PORT), ASKER, self.peer.key, channel=0, kind=ident.QUESTION,
                              own_channel=1)
        with Counted(self.ubfd2) as counted:
            for _ in range(3):
                self.peer.send(data, ASKER)
            time.sleep(0.3)
        self.assertEqual((counted["ident.answered"], counted["ident.rejected.repeated"]), (1, 2))


class Lies(OneSided):
    """All answers say 'alice', and none is believed."""

    def assert_not_believed(self, lie, rejection):
        """lie(question) sends a false answer. The true answer that follows gets the flow refused."""
        for protocol in ("tcp", "udp"):
            with self.subTest(protocol), Counted(self.ubfd2) as counted:
                question, outcome = self.start_bob(protocol)
                lie(question)
                self.assertEqual(outcome(timeout=0.1), "timeout")
                self.peer.tell(question, USERS["bob"], HERE)
                self.assertEqual(outcome(), DENIED)
            if rejection:
                self.assertGreater(counted[f"ident.rejected.{rejection}"], 0)
            self.assertNotIn("same-user", counted.reasons())

    def test_an_answer_with_another_key(self):
        key = bytes.fromhex(secrets.token_hex(32))
        self.assert_not_believed(lambda q: self.peer.tell(q, USERS["alice"], HERE, key=key), "wrong-key")

    def test_an_answer_with_another_key_under_the_name_of_ours(self):
        def lie(question):
            data = bytearray(ident.datagram([ident.answer(question.nonce, USERS["alice"])], (HERE, ident.PORT),
                                            ASKER, self.peer.key, channel=question.channel))
            data[-16:] = ident.mac(bytes(data[:-16]), (HERE, ident.PORT), ASKER, bytes(32))
            self.peer.send(data, ASKER)

        self.assert_not_believed(lie, "wrong-key")

    def test_an_answer_to_another_question(self):
        self.assert_not_believed(
            lambda q: self.peer.tell(q, USERS["alice"], HERE, nonce=secrets.token_bytes(8)), "unasked")

    def test_sixty_guesses_at_the_nonce(self):
        def lie(question):
            first = int.from_bytes(question.nonce, "big")
            for guess in range(1, 31):
                for nonce in (first + guess, first - guess):
                    self.peer.tell(question, USERS["alice"], HERE, nonce=(nonce % 2**64).to_bytes(8, "big"))

        self.assert_not_believed(lie, "unasked")

    def test_an_answer_from_the_right_address_and_another_port(self):
        other = ident.Peer(self.one, self.secret, port=1016)
        self.addCleanup(other.close)
        self.assert_not_believed(lambda q: other.tell(q, USERS["alice"], HERE), "foreign")

    def test_an_answer_from_a_peer_that_was_not_asked(self):
        self.one.run("ip", "addr", "add", "10.77.0.3/24", "dev", "eth0")
        self.assert_not_believed(lambda q: self.peer.tell(q, USERS["alice"], "10.77.0.3"), "unasked")

    def test_an_answer_from_an_address_that_is_no_peer(self):
        self.one.run("ip", "addr", "add", "10.78.0.1/24", "dev", "eth0")
        self.two.run("ip", "route", "add", "10.78.0.0/24", "dev", "eth0")
        # The kernel drops it before ubfd could count it.
        self.assert_not_believed(lambda q: self.peer.tell(q, USERS["alice"], "10.78.0.1"), None)
        self.assertEqual(self.ubfd2.status()["kernel"]["ident_foreign"]["packets"], 2)

    def test_an_answer_of_a_clock_that_differs_is_as_good_and_the_log_says_so(self):
        for skew in (-3600, 3600):
            question, outcome = self.start_bob()
            self.peer.tell(question, USERS["alice"], HERE, skew=skew)
            self.assertEqual(outcome(), "connected")
        self.ubfd2.wait_for_log(f"the clock of peer {HERE} is 36")
        self.assertEqual(self.ubfd2.log().count("the clock of peer"), 1)

    def test_a_question_of_a_clock_that_differs_is_answered(self):
        alice = self.person("alice", self.two)
        handle = alice.do(person.send_to, "tcp", HERE, PORT, bind=(V4, 40000))
        for skew in (-3600, 3600):
            entry = ident.question(ident.flow((V4, 40000), (HERE, PORT)))
            self.peer.send(ident.datagram([entry], (HERE, ident.PORT), ASKER, self.peer.key, kind=ident.QUESTION, channel=0,
                                          skew=skew), ASKER)
            self.assertTrue(self.peer.answers(), skew)
        alice.close(handle)

    def test_an_answer_of_a_flow_before(self):
        question, outcome = self.start_bob()
        recorded = self.peer.tell(question, USERS["alice"], HERE)
        self.assertEqual(outcome(), "connected")
        self.assert_not_believed(lambda q: self.peer.send(recorded, ASKER), "unasked")

    def test_the_question_itself_sent_back(self):
        self.assert_not_believed(lambda q: self.peer.send(q.raw, q.asker), "wrong-key")

    def test_an_answer_of_another_version(self):
        """The question is over, and no answer is believed."""
        for protocol in ("tcp", "udp"):
            with self.subTest(protocol), Counted(self.ubfd2) as counted:
                question, outcome = self.start_bob(protocol)
                self.peer.tell(question, USERS["alice"], HERE, version=ident.VERSION + 1)
                self.assertEqual(outcome(), DENIED)
            self.assertEqual(set(counted.reasons()), {"other-version"})

    def test_an_answer_to_another_channel(self):
        def lie(question):
            for channel in {1, 2, 3, 200} - {question.channel}:
                self.peer.send(ident.datagram([ident.answer(question.nonce, USERS["alice"])], (HERE, ident.PORT),
                                              ASKER, self.peer.key, channel=channel), ASKER)

        self.assert_not_believed(lie, "unasked")

    def test_every_truncation_of_an_answer(self):
        def lie(question):
            good = ident.datagram([ident.answer(question.nonce, USERS["alice"])], (HERE, ident.PORT), ASKER,
                                  self.peer.key, channel=question.channel)
            for length in range(len(good)):
                self.peer.send(good[:length], ASKER)

        self.assert_not_believed(lie, "malformed")

    def test_ten_thousand_random_datagrams(self):
        rng = random.Random(2)

        def lie(question):
            good = ident.datagram([ident.answer(question.nonce, USERS["alice"])], (HERE, ident.PORT), ASKER,
                                  self.peer.key, channel=question.channel)
            for number in range(5_000):
                if number % 2:
                    data = bytearray(good)
                    for _ in range(rng.randint(1, 8)):
                        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                else:
                    data = b"UB\2" + rng.randbytes(rng.randint(0, 1500))
                if data != good:
                    self.peer.send(data, ASKER)

        self.settings = {"ident": {"deadline_ms": 999}}
        self.ubfd2.configure({"peers": {"ranges": case.PEERS}, "ident": {"deadline_ms": 999}})
        self.ubfd2.reload()
        self.assert_not_believed(lie, "malformed")
        self.assert_alive(self.ubfd2)

    def test_questions_about_other_peoples_flows_are_not_answered(self):
        with Counted(self.ubfd2) as counted:
            flow = b"\6\0" + (40000).to_bytes(2, "big") + PORT.to_bytes(2, "big")
            for ends in (("10.77.0.9", V4), (V4, "10.77.0.9"), ("10.77.0.9", HERE), (HERE, V4)):
                body = flow + ident._bytes(ends[0]) + ident._bytes(ends[1])
                entry = secrets.token_bytes(8) + b"\1\0" + bytes(4) + body
                self.peer.send(ident.datagram([entry], (HERE, ident.PORT), ASKER, self.peer.key, channel=0,
                                              kind=ident.QUESTION, own_channel=1), ASKER)
            time.sleep(0.2)
        self.assertEqual(counted["ident.rejected.not-theirs"], 4)
        self.assertEqual(counted["ident.answered"], 0)


class OtherVersion(OneSided):
    """The peer runs a newer or an older version."""

    def send(self, entries, version):
        self.peer.send(ident.datagram(entries, (HERE, ident.PORT), ASKER, self.peer.key, kind=ident.QUESTION, channel=0,
                                      version=version), ASKER)

    def test_is_named_by_both_nodes_and_refused(self):
        entry = ident.question(ident.flow((V4, PORT), (HERE, 40000)))
        for version in (ident.VERSION + 1, 2):
            with self.subTest(version):
                self.send([entry], version)
                notice = self.peer.socket.recv(2000)
                self.assertEqual((notice[:3], notice[5], len(notice)), (b"UB" + bytes([ident.VERSION]), 0, 40))
                self.send([entry], version)  # answered at most once a second
                self.send([], version)  # a notice gets no answer
                self.peer.socket.settimeout(0.3)
                self.assertRaises(TimeoutError, self.peer.socket.recv, 2000)
                time.sleep(1)
                self.send([], version)
                self.assertRaises(TimeoutError, self.peer.socket.recv, 2000)
                self.peer.socket.settimeout(3)
        self.ubfd2.wait_for_log(f"peer {HERE} speaks version {ident.VERSION + 1} of ident, and this ubfd version "
                                f"{ident.VERSION}")
        with Counted(self.ubfd2) as counted:
            _, outcome = self.start_bob()
            self.assertEqual(outcome(), "EHOSTUNREACH")
        self.assertEqual(set(counted.reasons()), {"no-answer-yet", "other-version"})
        self.send([entry], ident.VERSION)  # the peer is upgraded, and asks
        self.assertTrue(self.peer.answers())
        question, outcome = self.start_bob()
        self.peer.tell(question, USERS["alice"], HERE)
        self.assertEqual(outcome(), "connected")


class Silence(TwoNodes):
    """Both nodes run ubfd, and one of them stops."""

    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.client = self.person("alice", self.one)

    def test_a_silent_peer_is_named_and_its_users_get_in_once_it_is_back(self):
        self.assertEqual(self.client.connect("tcp", V4, PORT), "connected")
        self.ubfd1.kill()
        handle = self.client.do(person.send_to, "tcp", V4, PORT)
        self.ubfd2.wait_for_log("peer 10.77.0.1 does not answer")
        peer = next(peer for peer in self.ubfd2.status()["peers"] if peer["address"] == "10.77.0.1")
        self.assertTrue(peer["silent"])
        self.assertEqual(self.client.do(person.outcome, handle, timeout=0.1), "timeout")
        self.ubfd1.start()
        # The retransmitted SYN leads to a new question.
        self.assertEqual(self.client.do(person.outcome, handle, timeout=10), "connected")
        peer = next(peer for peer in self.ubfd2.status()["peers"] if peer["address"] == "10.77.0.1")
        self.assertFalse(peer["silent"])

    def test_a_silent_peer_is_named_once_a_minute(self):
        self.ubfd1.kill()
        for _ in range(10):
            self.client.do(person.send_to, "tcp", V4, PORT)
        case.wait_until(lambda: self.ubfd2.status()["reasons"]["no-answer"] >= 10)
        self.ubfd2.wait_for_log("does not answer")
        self.assertEqual(self.ubfd2.log().count("does not answer"), 1)


class Older(OneSided):
    """The peer's ubfd still tells owners ahead, and wants to be told."""

    def test_is_answered_and_what_it_tells_is_dropped(self):
        client = self.person("alice", self.two)
        self.person("alice", self.one).listen("tcp", "0.0.0.0", PORT)  # no ubfd asks on node1
        self.assertEqual(client.connect("tcp", HERE, PORT, bind=(V4, 9100)), "connected")
        for flags in (ident.TELL_ME, ident.TELL_ME_NO_MORE):
            question = ident.question(ident.flow((V4, 9100), (HERE, PORT)), flags)
            self.peer.send(ident.datagram([question], (HERE, ident.PORT), ASKER, self.peer.key, kind=ident.QUESTION,
                                          channel=ident.SERVICE, own_channel=2), ASKER)
            uids = {uid for _, _, _, uid in self.peer.answers()}
            self.assertEqual(uids, {USERS["alice"]})
        with Counted(self.ubfd2) as counted:
            handle = self.bob.do(person.send_to, "tcp", V4, PORT)
            question = self.peer.question()
            told = ident.told_ahead(question.flow, 0, USERS["alice"])
            self.peer.send(ident.datagram([told], (HERE, ident.PORT), ASKER, self.peer.key, kind=ident.TOLD_AHEAD,
                                          channel=1), ASKER)
            self.peer.tell(question, USERS["bob"], HERE)
            self.assertEqual(self.bob.do(person.outcome, handle), DENIED)
        self.assertEqual((counted["ident.rejected.unasked"], counted["ident.rejected.malformed"]), (1, 0))


class Keys(TwoNodes):
    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "::", PORT)

    def start_daemons(self):
        self.old, self.new = secrets.token_hex(32), secrets.token_hex(32)
        self.key1, self.key2 = (write_key(case.FOLDER / name, self.old) for name in ("key1", "key2"))
        self.ubfd1 = self.start_ubfd(self.one, key=self.key1)
        self.ubfd2 = self.start_ubfd(self.two, key=self.key2)

    def sees(self):
        return self.person("alice", self.one).connect("tcp", V4, PORT, timeout=2)

    def test_a_key_is_rotated_node_by_node_without_a_refusal(self):
        for keys in ((self.old, self.new), (self.new, self.old), (self.new,)):
            for ubfd, file in ((self.ubfd1, self.key1), (self.ubfd2, self.key2)):
                write_key(file, *keys)
                ubfd.reload()
                self.assertEqual(self.sees(), "connected", keys)

    def test_a_node_with_the_old_key_is_not_believed_once_it_is_retired(self):
        write_key(self.key2, self.new)
        self.ubfd2.reload()
        with Counted(self.ubfd1) as counted:
            self.assertEqual(self.sees(), "EHOSTUNREACH")
        self.assertGreater(counted["ident.rejected.wrong-key"], 0)


if __name__ == "__main__":
    case.main()
