#!/usr/bin/python3
"""An answer in two parts: the uid at once, the credentials when they are found. node1 runs no ubfd: the test itself
answers in its place, or asks."""

import pathlib
import secrets
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, ident, person, write_key  # noqa: E402
from lab.case import PROJ, USERS, V4, V6, Counted, TwoNodes, refused  # noqa: E402

PORT = 9001
HERE = {"v4": "10.77.0.1", "v6": "fd77::1"}
WAYS = [(protocol, family) for protocol in ("tcp", "udp") for family in ("v4", "v6")]
ADDRESS = {"v4": V4, "v6": V6}
SUCCESS = {"tcp": "connected", "udp": "hello"}


class Parts(TwoNodes):
    settings = {"ident": {"deadline_ms": 600}, "owners": {"bpf": False}}

    def start_daemons(self):
        self.secret = secrets.token_hex(32)
        write_key(self.key, self.secret)
        self.ubfd2 = self.start_ubfd(self.two)
        self.peer = ident.Peer(self.one, self.secret)
        self.addCleanup(self.peer.close)
        self.bob = self.person("bob", self.one)
        self.server = self.person("alice", self.two, group=PROJ)
        for protocol in ("tcp", "udp"):
            self.server.listen(protocol, "::", PORT)

    def start_bob(self, protocol, family):
        """Begins to connect. Returns the question about the flow, and a function that returns bob's view in the end."""
        handle = self.handle = self.bob.do(person.send_to, protocol, ADDRESS[family], PORT)
        return self.peer.question(), lambda timeout=3: self.bob.do(person.outcome, handle, timeout)

    def in_all_ways(self):
        for protocol, family in WAYS:
            with self.subTest(f"{protocol} {family}"):
                question, outcome = self.start_bob(protocol, family)
                yield protocol, family, question, outcome
                self.bob.close(self.handle)  # stops its retries


class Asked(Parts):
    def test_the_uid_allows_where_it_suffices(self):
        with Counted(self.ubfd2) as counted:
            for protocol, family, question, outcome in self.in_all_ways():
                self.peer.tell(question, USERS["alice"], HERE[family], flags=ident.FOLLOWS)
                self.assertEqual(outcome(), SUCCESS[protocol])
        self.assertEqual(counted.reasons(), {"same-user": len(WAYS)})

    def test_the_uid_alone_neither_allows_nor_denies_what_credentials_decide(self):
        for protocol, family, question, outcome in self.in_all_ways():
            self.peer.tell(question, USERS["bob"], HERE[family], flags=ident.FOLLOWS)
            self.assertEqual(outcome(timeout=0.1), "timeout")
            entry = ident.answer_with_groups(question.nonce, USERS["bob"], [PROJ])
            self.peer.tell_entry(question, entry, HERE[family])
            self.assertEqual(outcome(), SUCCESS[protocol])
        for protocol, family, question, outcome in self.in_all_ways():
            self.peer.tell(question, USERS["bob"], HERE[family], flags=ident.FOLLOWS)
            entry = ident.answer_with_groups(question.nonce, USERS["bob"], [USERS["bob"]])
            self.peer.tell_entry(question, entry, HERE[family])
            self.assertEqual(outcome(), refused(protocol, family))

    def test_credentials_that_do_not_come_drop_the_packet_and_do_not_make_the_peer_silent(self):
        for protocol, family, question, outcome in self.in_all_ways():
            with Counted(self.ubfd2) as counted:
                self.peer.tell(question, USERS["bob"], HERE[family], flags=ident.FOLLOWS)
                self.assertEqual(outcome(timeout=0.9), "timeout")
            self.assertEqual(counted.reasons(), {"overload": 1})
            # ubfd learned nothing against bob, so it asks about the next packet.
            if protocol == "tcp":
                again = self.peer.question()
                while again.flow != question.flow or again.nonce == question.nonce:
                    again = self.peer.question()
                self.peer.tell(again, USERS["alice"], HERE[family])
                self.assertEqual(outcome(), "connected")
        self.assertFalse(any(peer["silent"] for peer in self.ubfd2.status()["peers"]))

    def test_a_busy_peer_ends_the_question(self):
        for _, family, question, outcome in self.in_all_ways():
            with Counted(self.ubfd2) as counted:
                self.peer.tell(question, USERS["bob"], HERE[family], flags=ident.BUSY)
                self.assertEqual(outcome(timeout=0.3), "timeout")
                # ubfd doesn't repeat the question, and ignores a late answer.
                self.peer.tell(question, USERS["alice"], HERE[family])
                time.sleep(0.1)
            self.assertEqual(counted.reasons(), {"overload": 1})
            self.assertEqual(counted["ident.answers_busy"], 1)
            self.assertEqual(counted["ident.rejected.unasked"], 1)

    def test_a_busy_peer_that_names_the_same_user_has_said_enough(self):
        for protocol, family, question, outcome in self.in_all_ways():
            self.peer.tell(question, USERS["alice"], HERE[family], flags=ident.BUSY)
            self.assertEqual(outcome(), SUCCESS[protocol])

    def test_a_part_of_anybody_but_a_user_is_malformed(self):
        question, outcome = self.start_bob("tcp", "v4")
        with Counted(self.ubfd2) as counted:
            for kind in (ident.UNKNOWN, ident.KERNEL):
                for flags in (ident.FOLLOWS, ident.BUSY):
                    entry = ident.answer(question.nonce, USERS["alice"], kind, flags)
                    self.peer.tell_entry(question, entry, HERE["v4"])
            for flags in (ident.FOLLOWS | ident.BUSY, ident.FOLLOWS | ident.CREDENTIALS, 32):
                self.peer.tell(question, USERS["alice"], HERE["v4"], flags=flags)
            self.assertEqual(outcome(timeout=0.2), "timeout")
        self.assertEqual(counted["ident.rejected.malformed"], 7)


class Answered(Parts):
    def test_the_uid_is_said_at_once_and_the_credentials_follow(self):
        client = self.person("bob", self.two)
        for protocol, family in WAYS:
            with self.subTest(f"{protocol} {family}"):
                target = self.person("bob", self.one)  # no ubfd asks on node1
                target.listen(protocol, HERE[family], PORT)
                handle = client.do(person.send_to, protocol, HERE[family], PORT)
                local = client.do(person.local_address, handle)
                flow = ident.flow(local, (HERE[family], PORT), {"tcp": 6, "udp": 17}[protocol])
                entry = ident.question(flow)
                data = ident.datagram([entry], (HERE[family], ident.PORT), (ADDRESS[family], ident.PORT),
                                      self.peer.key, kind=ident.QUESTION, channel=ident.SERVICE, own_channel=2)
                with Counted(self.ubfd2) as counted:
                    self.peer.send(data, (ADDRESS[family], ident.PORT), HERE[family])
                    answers = self.peer.answers()
                self.assertEqual([(kind, uid) for _, kind, _, uid in answers], [(ident.USER, USERS["bob"])] * 2)
                self.assertEqual(answers[0][2], ident.FOLLOWS)
                self.assertTrue(answers[1][2] & ident.CREDENTIALS)
                self.assertEqual(counted["ident.answered"], 1)
                self.dismiss(target)


if __name__ == "__main__":
    case.main()
