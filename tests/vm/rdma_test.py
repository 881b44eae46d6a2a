#!/usr/bin/python3
"""Connections of the RDMA connection manager between two guests (boot --pair), over RDMA in software. Each node needs a
kernel of its own, since rdma_rxe works in a kernel's first network namespace only. The first guest runs the tests, and
the second does what the first tells it."""

import pathlib
import secrets
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import COMMON, Case, wait_until  # noqa: E402
from rdma_side import V4, V6, Remote, Side, obey  # noqa: E402

ORPHAN = pathlib.Path(__file__).resolve().parent / "rdma_orphan.py"
PORT = 7174
# The log has no names while the user database is still being asked.
BOB, ALICE = "(63002) rping[", "(63001) rping["


class Rdma(Case):
    rdma = "log"

    @classmethod
    def setUpClass(cls):
        if not hasattr(Rdma, "one"):
            Rdma.one = Side(1)
            Rdma.one.prepare()
            Rdma.two = Remote()

    def setUp(self):
        super().setUp()
        key = secrets.token_hex(32)
        settings = {"fabric": {"rdma": self.rdma}, "log": {"fold_s": 1}}
        for side in (self.one, self.two):
            self.addCleanup(self.see_it_end_well, side)
            side.begin(settings, key)
            wait_until(lambda side=side: side.status()["rdma"]["state"] == "active", 25)

    def see_it_end_well(self, side):
        end = side.end()
        self.assertIsNone(end["died"], end["log"])
        self.assertEqual(end["status"], 0, end["log"])

    def serve(self, side, user, address, port=PORT, **options):
        server = side.run(user, "rping", "-s", "-P", "-a", address, "-p", port, **options)
        wait_until(lambda: side.listens(port), 25)
        return server

    def visit(self, user, address, port=PORT, times=100_000_000):
        return self.one.run(user, "rping", "-c", "-a", address, "-p", port, "-C", times)

    def assert_counts(self, side, seconds=25, **expected):
        def seen():
            counters = side.status()["rdma"]
            return {name: counters[name] for name in expected}
        try:
            wait_until(lambda: seen() == expected, seconds)
        except AssertionError:
            self.assertEqual(seen(), expected, side.lines("denied") + side.lines("is not judged,"))

    def assert_told(self, side, word, *parts):
        try:
            wait_until(lambda: any(all(part in line for part in parts) for line in side.lines(word)), 25)
        except AssertionError:
            self.fail(f"no line '{word}' with {parts} in {side.lines(word)}")


class Logged(Rdma):
    def test_what_one_user_does_runs_to_its_end_and_is_allowed(self):
        self.serve(self.two, "alice", V4[2])
        visitor = self.visit("alice", V4[2], times=200)
        for side in (self.one, self.two):
            self.assert_counts(side, seen=1, allowed=1, denied=0)
        self.assertEqual(self.one.exit_status(visitor, 60), 0)
        self.assertEqual(self.one.lines("denied") + self.two.lines("denied"), [])

    def test_another_user_is_told_on_both_nodes_and_goes_on(self):
        self.serve(self.two, "alice", V4[2])
        visitor = self.visit("bob", V4[2])
        for side in (self.one, self.two):
            self.assert_counts(side, seen=1, allowed=0, denied=1)
            self.assert_told(side, "denied", "reason=different-user", BOB, ALICE)
        self.assertIsNone(self.one.exit_status(visitor, 1.5))  # the next denial is not folded
        self.visit("bob", V4[2])
        for side in (self.one, self.two):  # both know the names by now
            self.assert_told(side, "denied", f"rdma {V4[1]}:", f"-> {V4[2]}:{PORT} ", "reason=different-user",
                             "connector=bob(63002) rping[", "listener=alice(63001) rping[")

    def test_over_ipv6_as_well(self):
        self.serve(self.two, "alice", V6[2])
        self.visit("bob", V6[2])
        for side in (self.one, self.two):
            self.assert_told(side, "denied", f"-> [{V6[2]}]:{PORT} ", BOB, ALICE)

    def test_on_one_node_nobody_is_asked(self):
        self.serve(self.one, "alice", V4[1])
        self.visit("bob", V4[1])
        self.assert_counts(self.one, seen=1, denied=1, allowed=0)
        self.assert_told(self.one, "denied", BOB, ALICE)
        self.assertEqual(self.one.status()["ident"]["questions"], 0)

    def test_a_group_is_let_in_by_its_listener(self):
        self.serve(self.two, "alice", V4[2], group=COMMON)
        self.visit("bob", V4[2])
        for side in (self.one, self.two):
            self.assert_counts(side, seen=1, allowed=1, denied=0)

    def test_who_listens_on_every_address_is_found(self):
        self.serve(self.two, "alice", "0.0.0.0")
        self.visit("bob", V4[2])
        for side in (self.one, self.two):
            self.assert_told(side, "denied", f"-> {V4[2]}:{PORT} ", BOB, ALICE)

    def test_a_connection_that_nobody_answers_for_goes_on_and_is_counted(self):
        self.serve(self.two, "alice", V4[2])
        self.two.stop_ubfd()
        visitor = self.visit("bob", V4[2])
        self.assert_counts(self.one, 40, seen=1, allowed=0, denied=0, no_answer=1)
        self.assert_told(self.one, "is not judged,", f"-> {V4[2]}:{PORT} ")
        self.assertIsNone(self.one.exit_status(visitor))
        self.two.start_ubfd()

    def test_a_connector_whom_nobody_lets_in_is_no_denial(self):
        visitor = self.visit("bob", V4[2], port=7999)
        self.assertNotEqual(self.one.exit_status(visitor, 10), 0)
        time.sleep(1)
        self.assert_counts(self.one, denied=0)


class Ended(Rdma):
    rdma = "end"

    def test_the_connectors_process_is_killed_and_the_others_go_on(self):
        server = self.serve(self.two, "alice", V4[2])
        friend = self.visit("alice", V4[2])
        self.assert_counts(self.one, seen=1, allowed=1)
        stranger = self.visit("bob", V4[2])
        pid = self.one.pid(stranger)
        self.assertEqual(self.one.exit_status(stranger, 40), -9)
        self.assert_counts(self.one, seen=2, allowed=1, denied=1, ended=1, not_ended=0)
        self.assert_told(self.one, "ended", "reason=different-user", f"(63002) rping[{pid}] listener=", ALICE,
                         f"the connector's process rping[{pid}] was killed")
        self.assertEqual(self.one.lines("denied"), [])
        # The listener's node does nothing, and may not have seen the connection.
        self.assert_counts(self.two, ended=0, not_ended=0)
        self.assertIsNone(self.one.exit_status(friend, 1))
        self.assertIsNone(self.two.exit_status(server))

    def test_on_one_node_too(self):
        server = self.serve(self.one, "alice", V4[1])
        stranger = self.visit("bob", V4[1])
        self.assertEqual(self.one.exit_status(stranger, 40), -9)
        self.assert_counts(self.one, seen=1, denied=1, ended=1, not_ended=0)
        self.assertIsNone(self.one.exit_status(server, 1))

    def test_nobody_is_killed_where_no_node_answers(self):
        self.serve(self.two, "alice", V4[2])
        self.two.stop_ubfd()
        stranger = self.visit("bob", V4[2])
        self.assert_counts(self.one, 40, seen=1, denied=0, no_answer=1, ended=0)
        self.assertIsNone(self.one.exit_status(stranger, 1))
        self.two.start_ubfd()

    def test_an_exempt_user_is_left_alone(self):
        self.one.ubfd.configure({**self.one.ubfd.settings,
                                 "fabric": {"rdma": "end", "exempt_connectors": ["bob"]}})
        self.one.ubfd.reload()
        self.serve(self.two, "alice", V4[2])
        stranger = self.visit("bob", V4[2])
        self.assert_counts(self.one, seen=1, allowed=1, denied=0)
        self.assertIsNone(self.one.exit_status(stranger, 1))

    def test_a_connection_whose_maker_has_ended_is_told_and_not_ended(self):
        self.serve(self.two, "alice", V4[2])
        orphan = self.one.run("bob", "python3", ORPHAN, V4[2], PORT)
        self.assertEqual(self.one.first_line(orphan), "connected")
        self.assert_counts(self.one, 40, seen=1, denied=1, ended=0, not_ended=1)
        self.assert_told(self.one, "denied", f"-> {V4[2]}:{PORT} ", "not ended: ")
        self.assertIsNone(self.one.exit_status(orphan, 1))


class Away(Rdma):
    """One of the programs is away for a while."""
    rdma = "end"

    def rdma_state(self, side, state):
        wait_until(lambda: side.status()["rdma"]["state"] == state, 25)

    def test_what_was_there_before_ubf_rdmad_is_told_and_not_ended(self):
        self.one.stop_rdmad()
        self.rdma_state(self.one, "NOT WATCHED: no ubf-rdmad reports")
        self.assert_told(self.one, "reporting:", "ubf-rdmad has stopped reporting")
        self.serve(self.two, "alice", V4[2])
        stranger = self.visit("bob", V4[2])
        time.sleep(1)
        self.one.start_rdmad()
        self.assert_counts(self.one, denied=1, ended=0, not_ended=1)
        self.assert_told(self.one, "denied", "it is older than ubf-rdmad")
        self.assert_told(self.one, "again:", "ubf-rdmad reports again")
        self.assertIsNone(self.one.exit_status(stranger))

    def test_nobody_is_killed_where_the_other_node_does_not_watch(self):
        self.two.stop_rdmad()
        self.rdma_state(self.two, "NOT WATCHED: no ubf-rdmad reports")
        self.serve(self.two, "alice", V4[2])
        friend, stranger = self.visit("alice", V4[2]), self.visit("bob", V4[2])
        self.assert_counts(self.one, 40, seen=2, allowed=0, denied=0, no_answer=2, ended=0)
        self.assert_told(self.one, "is not judged,", f"-> {V4[2]}:{PORT} ", "see that ubfd and ubf-rdmad run there")
        for program in (friend, stranger):
            self.assertIsNone(self.one.exit_status(program))
        self.two.start_rdmad()

    def test_while_ubfd_is_away_nobody_is_killed_and_afterwards_only_the_stranger(self):
        server = self.serve(self.two, "alice", V4[2])
        friend = self.visit("alice", V4[2])
        self.assert_counts(self.one, seen=1, allowed=1)
        self.one.stop_ubfd()
        stranger = self.visit("bob", V4[2])
        wait_until(lambda: self.one.rdmad_says("ubfd can't be asked: "), 25)
        self.assertIsNone(self.one.exit_status(stranger, 1))
        self.one.start_ubfd()
        self.assertEqual(self.one.exit_status(stranger, 40), -9)
        self.assert_counts(self.one, seen=2, allowed=1, denied=1, ended=1, not_ended=0)
        self.assert_told(self.one, "ended", "reason=different-user", "was killed")
        self.assertTrue(self.one.rdmad_says("ubfd answers again"))
        self.assertIsNone(self.one.exit_status(friend, 1))
        self.assertIsNone(self.two.exit_status(server))

    def test_the_same_while_ubfd_stands_still(self):
        self.serve(self.two, "alice", V4[2])
        friend = self.visit("alice", V4[2])
        self.assert_counts(self.one, seen=1, allowed=1)
        self.one.hold_ubfd()
        stranger = self.visit("bob", V4[2])
        wait_until(lambda: self.one.rdmad_says("it has not answered for 5 s"), 25)
        self.assertIsNone(self.one.exit_status(stranger))
        self.one.release_ubfd()
        self.assertEqual(self.one.exit_status(stranger, 40), -9)
        self.assertIsNone(self.one.exit_status(friend, 1))


if __name__ == "__main__":
    if "ubf.node=2" in pathlib.Path("/proc/cmdline").read_text():
        case.main(instead=obey)
    case.main()
