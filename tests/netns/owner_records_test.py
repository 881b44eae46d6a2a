#!/usr/bin/python3
"""The kernel records the process that makes a socket listen or connect, which saves searches. Not every kernel takes
all of the BPF program; the guest's kernel in tests/vm does."""

import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load, person  # noqa: E402
from lab.case import PROJ, USERS, V4, Counted, TwoNodes  # noqa: E402

PORT = 9001
SEARCHES = ("recent", "uid-processes", "all-processes", "user-database")  # the ways to find an owner without a record
UNKNOWN = 64000  # a group that the user database doesn't have


# --- actions of a person ---

def take_identities(uids, gids):
    """Sets the real, effective and saved ids, like those of a set-user-ID or set-group-ID program at its start."""
    os.setgroups([])
    os.setresgid(*gids)
    os.setresuid(*uids)


def listen_and_serve(handle):
    person._sockets[handle].listen(16)  # pylint: disable=protected-access
    person.serve(handle)


def kernel_memory_kib():
    return int(re.search(r"VmallocUsed: *([0-9]+) kB", pathlib.Path("/proc/meminfo").read_text())[1])


def start_crowd(test, node, user, processes):
    crowd = node.start(case.build / "tests" / "bench" / "crowd", processes, 20, user=user, stdout=subprocess.PIPE)
    test.addCleanup(crowd.stdout.close)
    test.addCleanup(crowd.wait)
    test.addCleanup(crowd.kill)
    test.assertEqual(crowd.stdout.readline(), "ready\n")


class Records(TwoNodes):
    def start_daemons(self):
        super().start_daemons()
        self.state, other = (ubfd.status()["owner_records"] for ubfd in (self.ubfd1, self.ubfd2))
        self.assertEqual(self.state, other)
        if case.in_guest():
            self.assertEqual(self.state, "in use")
        if not self.state.startswith("in use"):
            self.leave_it_to_a_guest(self.state)

    def assert_listener(self, protocol="tcp", **expected):
        """Checks what ubfd on the listener's node says of the listener."""
        answer = self.ubfd2.ask(command="explain", protocol=protocol, to=f"{V4}:{PORT}", **{"from": "10.77.0.1:4000"})
        self.assertEqual({key: answer["listener"].get(key) for key in expected}, expected)


class Spared(Records):
    def test_a_member_of_the_listeners_group_connects_without_a_search(self):
        protocols = ("tcp", "udp") if self.state == "in use" else ("tcp",)
        for protocol in protocols:
            self.person("alice", self.two, group=PROJ).listen(protocol, "0.0.0.0", PORT)
            for node in (self.one, self.two):
                for _ in range(2):
                    self.assertEqual(self.person("bob", node).connect(protocol, V4, PORT), "connected")
        # In a slow test, ubfd may decide a UDP flow more than once.
        self.assertGreaterEqual(self.ubfd2.status()["reasons"]["same-group"], 4 * len(protocols))
        for ubfd in (self.ubfd1, self.ubfd2):
            found = ubfd.status()["owner_methods"]
            self.assertGreaterEqual(found["kernel-record"], 2 * len(protocols))
            self.assertEqual({method: found[method] for method in SEARCHES}, dict.fromkeys(SEARCHES, 0))

    def test_a_group_that_the_process_alone_has_counts_up_to_as_many_as_are_kept(self):
        self.person("alice", self.two, group=UNKNOWN).listen("tcp", "0.0.0.0", PORT)
        for count, method in ((32, "kernel-record"), (33, "uid-processes")):
            groups = [UNKNOWN + number for number in range(count)]
            with Counted(self.ubfd1) as counted:
                self.assertEqual(self.person("bob", self.one, groups=groups).connect("tcp", V4, PORT), "connected")
            self.assertEqual(counted[f"owner_methods.{method}"], 1, count)
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")

    def test_a_denial_names_a_program_that_is_gone_by_then(self):
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        self.ubfd2.process.send_signal(signal.SIGSTOP)
        bob, carol = self.person("bob", self.one), self.person("carol", self.one)
        bob.do(person.rename, b"solver")
        bob.hand_over(bob.do(person.send_to, "tcp", V4, PORT), carol)  # keeps his socket open
        self.dismiss(bob)
        self.ubfd2.process.send_signal(signal.SIGCONT)
        self.assert_denied(self.ubfd2, "reason=different-user", f"(63002) solver[{bob.pid}]", seconds=10)


class Older(Records):
    """Sockets older than ubfd."""

    def restart(self):
        self.ubfd2.stop()
        self.ubfd2.start()

    def test_who_holds_one_is_recorded_at_the_start(self):
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two, group=PROJ).listen(protocol, "0.0.0.0", PORT)
        self.restart()
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.person("carol", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        for protocol in ("tcp", "udp"):
            self.assert_listener(protocol, method="kernel-record", gid=PROJ)

    def test_one_that_processes_of_two_groups_hold_is_searched_for(self):
        first, second = self.person("alice", self.two, group=PROJ), self.person("alice", self.two)
        second.do(person.serve, first.hand_over(first.listen("tcp", "0.0.0.0", PORT, answer=False), second))
        self.restart()
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assert_listener(method="uid-processes", gid=None)


class NotFooled(Records):
    """If a record could mislead, ubfd ignores it and searches."""

    def test_a_program_of_another_user_or_group_than_who_started_it(self):
        alice, bob = USERS["alice"], USERS["bob"]
        for uids, gids in (((bob, alice, alice), (bob, bob, bob)), ((alice, alice, alice), (alice, PROJ, PROJ))):
            server = self.person("root", self.two)
            server.do(take_identities, uids, gids)
            server.listen("tcp", "0.0.0.0", PORT)
            self.assert_listener(method="uid-processes", uid=alice, gid=None)
            self.dismiss(server)

    def test_a_socket_that_somebody_else_makes_listen_stays_its_creators(self):
        alice, carol = self.person("alice", self.two, group=PROJ), self.person("carol", self.two)
        theirs = alice.hand_over(alice.do(person.bound, "tcp", "0.0.0.0", PORT), carol)
        carol.do(listen_and_serve, theirs)
        self.assert_listener(method="uid-processes", uid=USERS["alice"], gid=PROJ)
        self.dismiss(alice)
        self.assertEqual(self.person("carol", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assertEqual(self.person("alice", self.one).connect("tcp", V4, PORT), "connected")

    def test_a_connection_that_somebody_else_makes_stays_its_creators(self):
        self.person("carol", self.two).listen("tcp", "0.0.0.0", PORT)
        alice, carol = self.person("alice", self.one), self.person("carol", self.one)
        theirs = alice.hand_over(alice.do(person.bound, "tcp", "0.0.0.0", 0), carol)
        with Counted(self.ubfd1) as counted:
            carol.do(person.begin, theirs, V4, PORT)
            self.assert_denied(self.ubfd2, "reason=different-user", "(63001)")
        self.assertEqual(counted["owner_methods.kernel-record"], 0)

    def test_the_listener_keeps_the_group_that_it_was_opened_under_whoever_holds_it(self):
        for groups, seen in (((PROJ, None), "connected"), ((None, PROJ), "EHOSTUNREACH")):
            first, second = (self.person("alice", self.two, group=group) for group in groups)
            second.do(person.serve, first.hand_over(first.listen("tcp", "0.0.0.0", PORT, answer=False), second))
            self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), seen)
            for holder in (first, second):
                self.dismiss(holder)

    def test_a_program_of_root_is_searched_for(self):
        """The kernel may have taken over a socket of root's."""
        self.person("root", self.two).listen("tcp", "0.0.0.0", PORT)
        self.assert_listener(method="uid-processes", uid=0, gid=0)


class Off(TwoNodes):
    settings = {"owners": {"bpf": False}}

    def test_without_records_owners_are_searched_for(self):
        self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", PORT)
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.person("carol", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        status = self.ubfd2.status()
        self.assertEqual(status["owner_records"], "not in use: owners.bpf is false")
        self.assertEqual(status["owner_methods"]["kernel-record"], 0)
        self.assertGreater(status["owner_methods"]["uid-processes"], 0)


class NoTime(TwoNodes):
    """The connector's user has so many processes that a search finds none in time."""

    settings = {"owners": {"bpf": False}, "ident": {"deadline_ms": 10}}

    def setUp(self):
        super().setUp()
        for node in (self.one, self.two):
            start_crowd(self, node, "bob", 400)

    def test_nobody_is_denied_for_want_of_it(self):
        """Only the process has this group: the user database doesn't help."""
        self.person("alice", self.two, group=UNKNOWN).listen("tcp", "0.0.0.0", PORT)
        for node in (self.one, self.two):
            bob = self.person("bob", node, groups=[UNKNOWN])
            with self.subTest(node.name):
                with Counted(self.ubfd2) as counted:
                    handle = bob.do(person.send_to, "tcp", V4, PORT)
                    self.assertEqual(bob.do(person.outcome, handle, timeout=0.5), "timeout")
                self.assertEqual(counted.reasons(), {"overload": 1})
                self.give_time(900)
                self.assertEqual(bob.do(person.outcome, handle, timeout=10), "connected")
                self.give_time(10)

    def give_time(self, milliseconds):
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.configure({**ubfd.settings, "ident": {"deadline_ms": milliseconds}})
            ubfd.reload()

    def test_whom_the_user_database_lets_in_is_let_in(self):
        self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", PORT)
        for node in (self.one, self.two):
            with self.subTest(node.name):
                self.assertEqual(self.person("bob", node).connect("tcp", V4, PORT, timeout=10), "connected")


class Cost(Records):
    """The test prints the costs and judges none, since guests differ in speed."""

    def test_what_a_record_costs_and_what_a_search(self):
        start_crowd(self, self.two, "bob", 200)
        measured = {"records": self.median_us()}
        memory = kernel_memory_kib()
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.stop()
            ubfd.configure({**ubfd.settings, "owners": {"bpf": False}})
            ubfd.start()
        memory -= kernel_memory_kib()
        measured["a search"] = self.median_us()
        print(", ".join(f"with {how} {us:.0f} us" for how, us in measured.items()),
              "for a first connection on one node, beside 200 processes of its user;",
              f"{memory / 2 / 1024:.1f} MiB in the kernel for a ubfd", flush=True)

    def median_us(self):
        """Starts new programs for each connection, so that ubfd remembers none."""
        times = []
        for port in range(PORT, PORT + 15):
            server, client = self.person("alice", self.two, group=PROJ), self.person("bob", self.two)
            server.listen("tcp", "0.0.0.0", port)
            times += client.do(load.connect_times, V4, port, 1)
            for one in (server, client):
                self.dismiss(one)
        self.assertEqual(len(times), 15)
        return statistics.median(times) * 1e6


if __name__ == "__main__":
    case.main()
