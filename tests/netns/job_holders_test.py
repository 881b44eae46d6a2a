#!/usr/bin/python3
"""Sockets that processes of two jobs hold, and jobs that end while their sockets go on."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import USERS, V4  # noqa: E402
from lab.labels import WithJobs  # noqa: E402
from lab.tree import Trouble  # noqa: E402

PORT, MORE = 9001, 9002


class HeldByTwoJobs(WithJobs):
    """Processes of two of bob's jobs hold the sockets. One of the jobs has the listener's label."""

    def setUp(self):
        super().setUp()
        self.alice, self.bob = self.two_jobs()
        self.alice.listen("tcp", "0.0.0.0", PORT)
        self.begin(self.ubfd1, 1006, "bob", "chem")
        self.other = self.in_job("bob", self.one, 1006)

    def assert_connects(self, *, owner, holder, allowed):
        handle = owner.do(person.bound, "tcp", "0.0.0.0", 0)
        held = owner.hand_over(handle, holder)
        if allowed:
            holder.do(person.connect_bound, held, V4, PORT)
        else:
            with self.assertRaisesRegex(Trouble, "No route to host"):
                holder.do(person.connect_bound, held, V4, PORT)


class Recorded(HeldByTwoJobs):
    def setUp(self):
        super().setUp()
        state = self.ubfd1.status()["owner_records"]
        if not state.startswith("in use"):
            self.leave_it_to_a_guest(state)

    def test_a_connection_has_the_label_of_the_job_that_made_it(self):
        self.assert_connects(owner=self.other, holder=self.bob, allowed=True)
        self.assert_connects(owner=self.bob, holder=self.other, allowed=False)
        self.assertEqual(self.ubfd1.status()["owner_methods"]["kernel-record"], 2)

    def test_nobody_is_looked_for(self):
        """The listener's maker is gone, and the holder is in no job: a search would find no label."""
        maker, keeper = self.in_job("alice", self.two, 1001), self.person("alice", self.two)
        held = maker.hand_over(maker.listen("tcp", "0.0.0.0", MORE, answer=False), keeper)
        self.dismiss(maker)
        keeper.do(person.serve, held)
        self.assertEqual(self.bob.connect("tcp", V4, MORE), "connected")
        self.assertEqual(self.other.connect("tcp", V4, MORE), "EHOSTUNREACH")
        for ubfd in (self.ubfd1, self.ubfd2):
            methods = ubfd.status()["owner_methods"]
            self.assertGreater(methods["kernel-record"], 0)
            for method in ("recent", "uid-processes", "all-processes"):
                self.assertEqual(methods.get(method, 0), 0, methods)

    def test_a_listener_that_is_moved_has_the_label_of_its_new_job(self):
        self.begin(self.ubfd2, 1003, "alice", "chem")
        self.cgroups.put(self.alice.pid, USERS["alice"], 1003)
        self.assertEqual(self.bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assertEqual(self.other.connect("tcp", V4, PORT), "connected")

    def test_a_connector_that_is_moved_has_the_label_of_its_new_job(self):
        self.assertEqual(self.other.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.cgroups.put(self.other.pid, USERS["bob"], 1002)
        self.assertEqual(self.other.connect("tcp", V4, PORT), "connected")
        self.cgroups.put(self.other.pid, USERS["bob"], 1006)
        self.assertEqual(self.other.connect("tcp", V4, PORT), "EHOSTUNREACH")

    def test_who_is_in_a_cgroup_of_no_job_has_no_label(self):
        somebody = self.person("bob", self.one)
        (self.cgroups.make("ubf-elsewhere/one/two/three/four") / "cgroup.procs").write_text(str(somebody.pid))
        self.assertEqual(somebody.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assert_denied(self.ubfd2, "connector=bob", "connector none: none in common")


class Searched(HeldByTwoJobs):
    settings = WithJobs.settings | {"owners": {"bpf": False}}

    def test_a_socket_that_processes_of_two_jobs_hold_has_no_label_of_either(self):
        self.assert_connects(owner=self.other, holder=self.bob, allowed=False)
        self.assert_connects(owner=self.bob, holder=self.other, allowed=False)
        self.assertEqual(self.bob.connect("tcp", V4, PORT), "connected")


class Withdrawn(WithJobs):
    """If the site says so, allowed flows stay."""

    labels = {"slurm": True, "when_withdrawn": "keep"}

    def test_flows_are_kept(self):
        alice, bob = self.two_jobs()
        alice.listen("tcp", "0.0.0.0", PORT)
        seen = bob.connect("tcp", V4, PORT)
        self.assertEqual(seen, "connected")
        self.end(self.ubfd1, 1002)
        time.sleep(1)
        self.assertEqual(bob.say(seen.handle), "hello")
        self.assertEqual(bob.connect("tcp", V4, PORT), "EHOSTUNREACH")


if __name__ == "__main__":
    case.main()
