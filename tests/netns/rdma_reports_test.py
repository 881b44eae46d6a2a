#!/usr/bin/python3
"""ubfd's part in the watch over RDMA, on two nodes without RDMA: the test reports connections in place of ubf-rdmad, on
the control socket. The programs are real in tests/vm/rdma_test.py."""

import json
import pathlib
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import COMMON, USERS, TwoNodes, wait_until  # noqa: E402

PORT = 7174
ONE, TWO = "10.77.0.1", "10.77.0.2"


class Watch:
    """Reports to a ubfd as ubf-rdmad does."""

    def __init__(self, ubfd, session=1):
        self.session, self._begins, self._number = session, True, 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(ubfd.socket))
        self._lines = self._socket.makefile("r")
        self._thread = None

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread:
            self._thread.join()
        self._lines.close()
        self._socket.close()

    def keep_reporting(self):
        """From now on, until close()."""
        def go_on():
            try:
                while self.report():
                    pass
            except OSError:
                pass
        self._thread = threading.Thread(target=go_on)
        self._thread.start()

    def send(self, **parts):
        """Does not wait for the reply."""
        report = {"command": "rdma", "session": self.session, "begins": self._begins, "state": "active", "cm_ids": 4,
                  "queue_pairs": 0, "foreign": 0, "connections": [], "gone": [], "outcomes": []} | parts
        self._begins = False
        self._socket.sendall(json.dumps(report).encode() + b"\n")

    def reply(self):
        line = self._lines.readline()
        return json.loads(line) if line else None

    def report(self, *connections, **parts):
        self.send(connections=list(connections), **parts)
        return self.reply()

    def orders(self):
        """The reply to what was reported last, or to a report of nothing after it, that has an order."""
        for _ in range(10):
            reply = self.reply()
            if reply["end"]:
                return reply
            self.send()
        raise AssertionError("no order came")

    def connection(self, user, ours, theirs, end="connector", **parts):
        self._number += 1
        uid = USERS[user]
        process = {"pid": 70, "process": 70, "comm": "rping", "uid": uid, "gid": uid, "real_uid": uid, "real_gid": uid,
                   "groups": [], "cgroups": "", "context": ""} | parts.pop("process", {})
        return {"device": 1, "number": self._number, "space": 262, "ours": ours, "theirs": theirs, "interface": 0,
                "end": end, "connected": True, "established": True, "old": False, "kernel": False,
                "process": process} | parts


class Reports(TwoNodes):
    rdma = "end"

    def setUp(self):
        self.settings = {"fabric": {"rdma": self.rdma}, "ident": {"deadline_ms": 300}}
        super().setUp()
        self.here, self.there = self.watch(self.ubfd1), self.watch(self.ubfd2)

    def watch(self, ubfd, session=1):
        watch = Watch(ubfd, session)
        self.addCleanup(watch.close)
        return watch

    def serve(self, user, **process):
        """A listener's end on node2, of the connection that connect() makes."""
        self.there.send(connections=[self.there.connection(user, f"{TWO}:{PORT}", f"{ONE}:40000", "listener",
                                                           process=process)])

    def connect(self, user, **parts):
        self.here.send(connections=[self.here.connection(user, f"{ONE}:40000", f"{TWO}:{PORT}", **parts)])

    def counts(self, ubfd):
        return ubfd.status()["rdma"]

    def assert_counts(self, ubfd, **expected):
        def seen():
            counters = self.counts(ubfd)
            return {name: counters[name] for name in expected} == expected
        wait_until(seen, 10, expected)


class Judged(Reports):
    def test_one_users_connection_is_allowed_on_both_nodes(self):
        self.serve("alice")
        self.connect("alice")
        for ubfd in (self.ubfd1, self.ubfd2):
            self.assert_counts(ubfd, seen=1, allowed=1, denied=0, state="active", cm_ids=4, connections=1)
        reply = self.here.reply()  # it may be told to look, where the peer asked before the report came
        self.assertEqual((reply["ok"], reply["end"]), (True, []))

    def test_another_users_is_to_be_ended_on_its_own_node_alone(self):
        self.serve("alice")
        self.connect("bob")
        self.assertEqual(self.here.orders()["end"], [{"device": 1, "number": 1}])
        self.here.report(outcomes=[{"device": 1, "number": 1, "ended": True, "note": "it was killed"}])
        line = self.ubfd1.wait_for_log(" ended ")
        for part in (f"rdma {ONE}:40000 -> {TWO}:{PORT} ", "reason=different-user", "rping[70]", "it was killed"):
            self.assertIn(part, line)
        self.assert_counts(self.ubfd1, denied=1, ended=1, not_ended=0)
        self.ubfd2.wait_for_log(" denied ")
        self.assert_counts(self.ubfd2, denied=1, ended=0, not_ended=0)
        self.assertEqual(self.there.reply()["end"], [])

    def test_the_group_of_the_listeners_process_counts(self):
        self.serve("alice", gid=COMMON, real_gid=COMMON)
        self.connect("bob")
        self.assert_counts(self.ubfd1, seen=1, allowed=1, denied=0)

    def test_a_peers_question_has_its_ubf_rdmad_look(self):
        self.there.send()
        self.connect("alice")
        reply = self.there.reply()
        self.assertTrue(reply["look"])
        self.serve("alice")
        self.assert_counts(self.ubfd1, allowed=1, denied=0)

    def test_a_connection_whose_end_is_gone_belongs_to_nobody(self):
        self.serve("alice")
        self.there.send(gone=[{"device": 1, "number": 1}])
        self.connect("bob")
        self.here.keep_reporting()
        self.there.keep_reporting()
        self.assert_counts(self.ubfd1, denied=1, ended=0, not_ended=1)
        self.assertIn("reason=listener-unknown", self.ubfd1.wait_for_log(" denied "))


class Gone(Reports):
    def test_one_that_stops_reporting_is_told_of_and_its_reports_are_forgotten(self):
        self.serve("alice")
        self.assert_counts(self.ubfd2, connections=1)
        self.ubfd2.wait_for_log("ubf-rdmad has stopped reporting: ")
        self.assert_counts(self.ubfd2, connections=0)
        self.assertNotEqual(self.counts(self.ubfd2)["state"], "active")
        self.person("alice", self.one).listen("tcp", ONE, 8888)
        alice = self.person("alice", self.two)
        self.assertEqual(alice.connect("tcp", ONE, 8888), "connected")  # node1 asks node2
        self.connect("alice")
        self.here.keep_reporting()
        self.assertIn(f"{TWO} did not say in 4 tries whose listener it is",
                      self.ubfd1.wait_for_log(" is not judged, and goes on: "))
        self.assert_counts(self.ubfd1, no_answer=1, denied=0, allowed=0, ended=0, not_ended=0)
        self.assertEqual(alice.connect("tcp", ONE, 8888), "connected")
        self.assertNotIn(f"peer {TWO} does not answer", self.ubfd1.log())
        again = self.watch(self.ubfd2, session=2)
        again.report()
        self.ubfd2.wait_for_log("ubf-rdmad reports again: ")
        self.assertEqual(self.counts(self.ubfd2)["state"], "active")

    def test_its_orders_without_an_outcome_are_told_of(self):
        self.serve("alice")
        self.connect("bob")
        self.here.orders()
        self.assertIn("not ended: ubf-rdmad has gone", self.ubfd1.wait_for_log(" denied "))
        self.assert_counts(self.ubfd1, denied=1, ended=0, not_ended=1)

    def test_when_ubfd_stops_too(self):
        self.serve("alice")
        self.connect("bob")
        self.here.orders()
        self.ubfd1.stop()
        self.assertIn("not ended: ubfd stops", self.ubfd1.wait_for_log(" denied "))

    def test_the_newest_is_heard_and_the_other_is_told(self):
        self.here.report()
        newer = self.watch(self.ubfd1, session=2)
        self.assertTrue(newer.report()["ok"])
        reply = self.here.report()
        self.assertFalse(reply["ok"])
        self.assertIn("another ubf-rdmad", reply["error"])
        self.assertTrue(newer.report()["ok"])


class Off(Reports):
    rdma = "off"

    def test_nothing_is_judged_or_complained_of_and_peers_are_answered(self):
        self.serve("alice")
        self.ubfd1.configure({**self.ubfd1.settings, "fabric": {"rdma": "log"}})
        self.ubfd1.reload()
        self.connect("bob")
        self.assertIn("reason=different-user", self.ubfd1.wait_for_log(" denied "))
        self.assert_counts(self.ubfd2, seen=0, denied=0, state="off (fabric.rdma)")
        wait_until(lambda: self.counts(self.ubfd2)["connections"] == 0, 10)  # nobody reports any more
        self.assertNotIn("stopped reporting", self.ubfd2.log())


class Hostile(Reports):
    def test_a_malformed_report_is_refused_and_changes_nothing(self):
        self.here.report()
        for parts in ({"session": -1}, {"session": "1"}, {"connections": {}}, {"connections": [7]}, {"gone": [[]]},
                      {"outcomes": [{"device": 1}]}, {"state": None}, {"cm_ids": 2 ** 64},
                      {"connections": [self.here.connection("bob", "10.0.0.1:1", "[fd00::1]:2")]},
                      {"connections": [self.here.connection("bob", "10.0.0.1:1", "x")]},
                      {"connections": [self.here.connection("bob", f"{ONE}:1", f"{TWO}:2", process={"uid": -1})]},
                      {"connections": [self.here.connection("bob", f"{ONE}:1", f"{TWO}:2", end="both")]}):
            with self.subTest(parts):
                self.here.send(**parts)
                reply = self.here.reply()
                self.assertFalse(reply["ok"])
                self.assertIn("malformed", reply["error"])
        self.assert_counts(self.ubfd1, connections=0, seen=0)
        self.assertTrue(self.here.report()["ok"])

    def test_a_line_may_be_long_and_no_longer(self):
        long = {"cgroups": "0::/" + "x" * 60_000}
        many = [self.here.connection("bob", f"{ONE}:{port}", "192.0.2.1:2", process=long) for port in range(1, 21)]
        self.here.send(connections=many)
        self.assert_counts(self.ubfd1, connections=20)
        self.assertTrue(self.here.reply()["ok"])
        try:
            self.here.send(state="x" * (3 << 20))
            self.assertIsNone(self.here.reply())
        except (ConnectionResetError, BrokenPipeError):
            pass
        self.assertTrue(self.watch(self.ubfd1, session=2).report()["ok"])

    def test_many_requests_in_one_piece_are_each_answered_in_their_order(self):
        for _ in range(50):
            self.here.send()
        self.assertEqual([self.here.reply()["ok"] for _ in range(50)], [True] * 50)


if __name__ == "__main__":
    case.main()
