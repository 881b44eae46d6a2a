#!/usr/bin/python3
"""Labels of the administrator's map, and of jobs that `ubfctl job` registers, in cgroups like Slurm's. slurm_test.py
has a real Slurm."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load, person  # noqa: E402
from lab.case import USERS, V4, V6, Counted, wait_until  # noqa: E402
from lab.labels import EVERYBODY, Labelled, WithJobs, job_path, top  # noqa: E402
from lab.tree import Trouble  # noqa: E402

PORT, MORE = 9001, 9002
# Only the users of these tests may carry a label.


class Map(Labelled):
    labels = {"map": {"teamx": ["alice", "@carol"], "other": ["bob"]}}

    def test_lets_in_whom_the_administrator_gave_the_same_label(self):
        for family, address in (("v4", V4), ("v6", V6)):
            self.person("alice", self.two).listen("tcp", address, PORT)
            self.person("alice", self.two).listen("udp", address, PORT)
            for node in (self.one, self.two):
                for protocol in ("tcp", "udp"):
                    with self.subTest(f"{family} {protocol} {node.name}"), Counted(self.ubfd2) as counted:
                        self.assertEqual(self.person("carol", node).connect(protocol, address, PORT), "connected")
                        self.assertEqual(self.person("bob", node).connect(protocol, address, PORT),
                                         case.refused(protocol, family))
                    self.assertEqual(set(counted.reasons()), {"same-label", "different-user"})
        self.assert_denied(self.ubfd2, "connector=bob", "(labels: listener map:teamx, connector map:other: none in common)")

    def test_explain_says_which_labels_were_compared(self):
        self.person("alice", self.two).listen("tcp", V4, PORT)
        seen = self.person("carol", self.one).connect("tcp", V4, PORT)
        here = "{}:{}".format(*self._people[-1].do(person.local_address, seen.handle))
        text = self.ubfctl(self.ubfd2, "explain", "--from", here, "--to", f"{V4}:{PORT}")
        self.assertIn("labels: listener map:teamx, connector map:teamx: one in common", text)
        self.assertIn("so: allow (same-label)", text)


class Jobs(WithJobs):
    def test_of_one_label_talk_and_of_two_do_not(self):
        alice, bob = self.two_jobs()
        self.begin(self.ubfd1, 1003, "carol", "chem")
        carol = self.in_job("carol", self.one, 1003)
        for protocol in ("tcp", "udp"):
            alice.listen(protocol, "::", PORT)
            for family, address in (("v4", V4), ("v6", V6)):
                self.assertEqual(bob.connect(protocol, address, PORT), "connected")
                self.assertEqual(carol.connect(protocol, address, PORT), case.refused(protocol, family))
        # A process outside the job has no label of it.
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assert_denied(self.ubfd2, "connector=carol", "job=1003", "job=1001",
                           "(labels: listener slurm:physics, connector slurm:chem: none in common)")
        self.assert_denied(self.ubfd2, "connector=bob", "connector none: none in common)")

    def test_in_every_step(self):
        """The steps batch and extern, and those of srun."""
        alice, _ = self.two_jobs()
        alice.listen("tcp", "0.0.0.0", PORT)
        for step in ("batch", "extern", "0", "17"):
            self.assertEqual(self.in_job("bob", self.one, 1002, step=step).connect("tcp", V4, PORT), "connected", step)

    def test_on_one_node(self):
        alice, _ = self.two_jobs()
        self.begin(self.ubfd2, 1004, "bob", "physics")
        alice.listen("tcp", "0.0.0.0", PORT)
        self.assertEqual(self.in_job("bob", self.two, 1004).connect("tcp", "127.0.0.1", PORT), "connected")

    def test_a_label_that_no_rule_lets_somebody_carry_matches_nothing(self):
        alice, bob = self.two_jobs("anything", "anything")
        alice.listen("tcp", "0.0.0.0", PORT)
        self.assertEqual(bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assert_denied(self.ubfd2, 'no [policy.labels."slurm:anything"] says who may carry it')

    def test_a_job_that_ends_takes_its_flows_with_it(self):
        """On both nodes and at once, at whichever end the job was. Flows of the same user stay."""
        ports = iter(range(PORT, PORT + 4))
        for ubfd, ending in ((self.ubfd2, 1001), (self.ubfd1, 1002)):
            for protocol in ("tcp", "udp"):
                port = next(ports)
                with self.subTest(f"{protocol}, job {ending}"):
                    alice, bob = self.two_jobs()
                    alice.listen(protocol, "0.0.0.0", port)
                    beside = self.person("alice", self.one)
                    ours = beside.connect(protocol, V4, port)
                    seen = bob.connect(protocol, V4, port)
                    self.assertEqual((ours, seen), ("connected", "connected"))
                    self.assertEqual(bob.say(seen.handle), "hello")
                    with Counted(self.ubfd2) as counted:
                        self.end(ubfd, ending)
                        wait_until(lambda: bob.say(seen.handle, timeout=0.3) != "hello", what="the end of the flow")
                    if protocol == "tcp":
                        self.assertEqual(counted["flows_ended"], 1)
                        wait_until(lambda: " ended tcp " in self.ubfd2.log(), what="a line in the log")
                    self.assertEqual(beside.say(ours.handle), "hello")
                    self.dismiss(bob)
                    self.dismiss(alice)

    def test_a_job_that_ends_without_an_epilog(self):
        alice, bob = self.two_jobs()
        alice.listen("tcp", "0.0.0.0", PORT)
        seen = bob.connect("tcp", V4, PORT)
        self.assertEqual(seen, "connected")
        wait_until(lambda: all(job["seen"] for job in self.ubfd1.ask(command="jobs")["jobs"]), what="a look at its cgroup")
        (top() / "cgroup.procs").write_text(str(bob.pid))
        cgroup = top() / job_path("bob", 1002)
        while "job_1002" in str(cgroup):
            cgroup.rmdir()
            cgroup = cgroup.parent
        begun = time.monotonic()
        wait_until(lambda: self.ubfd1.status()["jobs"]["vanished"] == 1, 5, "the end of the job")
        wait_until(lambda: self.ubfd2.status()["flows_ended"] == 1, 5, "the end of the flow")
        print(f"ended within {(time.monotonic() - begun) * 1000:.0f} ms", flush=True)
        self.assertEqual(bob.say(seen.handle), "ECONNRESET")

    def test_a_label_that_changes_while_connected(self):
        alice, bob = self.two_jobs()
        alice.listen("tcp", "0.0.0.0", PORT)
        seen = bob.connect("tcp", V4, PORT)
        self.assertEqual(seen, "connected")
        self.begin(self.ubfd1, 1002, "bob", "physics")  # the same label again
        time.sleep(0.5)
        self.assertEqual(bob.say(seen.handle), "hello")
        self.begin(self.ubfd1, 1002, "bob", "chem")
        wait_until(lambda: self.ubfd2.status()["flows_ended"] == 1, 5, "the end of the flow")
        self.assertEqual(bob.say(seen.handle), "ECONNRESET")

    def test_a_job_that_ends_while_others_come_and_go(self):
        """A search's result is not used after a change of the jobs. Yet changes must delay neither a flow nor its
        end."""
        alice, bob = self.two_jobs()
        alice.listen("tcp", "0.0.0.0", PORT)
        over = threading.Event()

        def churn():
            while not over.is_set():
                for ubfd in (self.ubfd1, self.ubfd2):
                    ubfd.ask(command="job-begin", job=1050, uid=USERS["carol"], label="chem")
                    ubfd.ask(command="job-end", job=1050)
                time.sleep(0.005)

        thread = threading.Thread(target=churn)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(over.set)
        flows = [bob.connect("tcp", V4, PORT, timeout=10) for _ in range(20)]
        self.assertEqual(set(flows), {"connected"})
        begun = time.monotonic()
        self.end(self.ubfd1, 1002)
        wait_until(lambda: self.ubfd2.status()["flows_ended"] == 20, 5, "the end of the flows")
        print(f"ended within {(time.monotonic() - begun) * 1000:.0f} ms", flush=True)
        self.assertEqual({bob.say(flow.handle) for flow in flows}, {"ECONNRESET"})

    def test_jobs_outlive_ubfd(self):
        alice, bob = self.two_jobs()
        alice.listen("tcp", "0.0.0.0", PORT)
        self.ubfd1.kill()
        self.ubfd1.start()
        self.ubfd2.stop()
        self.ubfd2.start()
        self.assertEqual(bob.connect("tcp", V4, PORT), "connected")
        self.assertIn("1002", self.ubfctl(self.ubfd1, "job", "list"))

    def test_whose_cgroup_is_believed(self):
        """No user gets another's label: not in another user's job, not in a cgroup of their own making, and not in an
        unregistered one."""
        alice, _ = self.two_jobs()
        alice.listen("tcp", "0.0.0.0", PORT)
        in_anothers = self.in_job("carol", self.one, 1002, owner="bob")
        self.assertEqual(in_anothers.connect("tcp", V4, PORT), "EHOSTUNREACH")
        unregistered = self.in_job("carol", self.one, 1009)
        self.assertEqual(unregistered.connect("tcp", V4, PORT), "EHOSTUNREACH")

        # carol owns this subtree, makes the same names in it, and moves herself there.
        self.begin(self.ubfd1, 1005, "carol", "physics")
        given = self.cgroups.make("given")
        for place in (given, given / "cgroup.procs", given / "cgroup.subtree_control", given / "tasks"):
            if place.exists():
                os.chown(place, USERS["carol"], USERS["carol"])
        carol = self.person("carol", self.one)
        (given / "cgroup.procs").write_text(str(carol.pid))
        path = given / job_path("carol", 1005)
        self.addCleanup(lambda: [p.rmdir() for p in (path, *path.parents) if given in p.parents])
        self.addCleanup(lambda: (top() / "cgroup.procs").write_text(str(carol.pid)))
        carol.do(person.enter_cgroup, str(path))
        self.assertIn(f"/given/{job_path('carol', 1005)}", pathlib.Path(f"/proc/{carol.pid}/cgroup").read_text())
        self.assertEqual(carol.connect("tcp", V4, PORT), "EHOSTUNREACH")
        with self.assertRaises(Trouble):  # nor may she enter the cgroup that counts
            carol.do(person.enter_cgroup, str(top() / job_path("carol", 1005)))
        # In that cgroup, put there by root, she has the label: only the place made the difference.
        self.assertEqual(self.in_job("carol", self.one, 1005).connect("tcp", V4, PORT), "connected")

    def test_labels_that_are_none(self):
        """Each is refused, with a log line free of control characters. The job stays without a label."""
        for label, told in (("x" * 65536, "x" * 64 + "'..."), ("a\nb\x1b[2J", "a\\x0ab\\x1b[2J"), ("a b", "a b")):
            with self.subTest(label[:8]):
                text = self.begin(self.ubfd2, 1007, "alice", label, status=1)
                self.assertIn(told, text)
                self.assertEqual(text.count("\n"), 1)
                self.ubfd2.wait_for_log(told)
        self.assertEqual(self.ubfd2.status()["jobs"], {"running": 0, "begun": 0, "ended": 0, "vanished": 0, "refused": 3})

    def ask_controller(self, answers):
        """Runs `ubfctl job begin` with an squeue that gives these answers, a line each. For an empty answer squeue
        fails."""
        folder = pathlib.Path(tempfile.mkdtemp(dir="/run"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "answers").write_text("".join(f"{answer}\n" for answer in answers))
        (folder / "squeue").write_text(f'#!/bin/sh\nread -r answer < {folder}/answers; sed -i 1d {folder}/answers\n'
                                       '[ "$answer" ] || { echo "slurm_load_jobs error: no answer"; exit 1; }\n'
                                       'echo "$answer"\n')
        (folder / "squeue").chmod(0o755)
        process = self.two.start(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, "job", "begin", "--job",
                                 "1008", "--uid", USERS["alice"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 env={"PATH": f"{folder}:/usr/bin:/bin"})
        text = process.communicate(timeout=40)[0]
        return process.returncode, text

    def test_a_controller_that_does_not_answer_is_asked_again(self):
        self.assertEqual(self.ask_controller(["", "", "physics"]), (0, ""))
        jobs = json.loads(self.ubfctl(self.ubfd2, "--json", "job", "list"))["jobs"]
        self.assertEqual([job["label"] for job in jobs], ["physics"])

    def test_what_a_controller_says_that_fails_is_no_label(self):
        status, text = self.ask_controller(["", "", "", "physics"])
        self.assertNotEqual(status, 0)
        self.assertIn("squeue failed 3 times for job 1008", text)
        self.assertEqual(self.ubfd2.status()["jobs"]["running"], 0)

    def test_nobody_but_root_registers_a_job(self):
        for user in ("alice", "service"):
            process = self.two.start(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, "job", "begin",
                                     "--job", "1", "--uid", USERS[user], "--label", "physics", user=user,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertIn("only root", process.communicate()[0])
            self.assertEqual(process.returncode, 69)
        self.ubfd2.socket.chmod(0o666)  # even if the socket's mode allows it
        process = self.two.start(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, "job", "begin",
                                 "--job", "1", "--uid", USERS["alice"], "--label", "physics", user="alice",
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process.communicate()
        self.assertNotEqual(process.returncode, 0)
        self.assertEqual(self.ubfd2.status()["jobs"]["running"], 0)

    def test_ten_thousand_jobs_cost_no_more_than_one(self):
        alice, bob = self.two_jobs()
        alice.listen("tcp", "0.0.0.0", PORT)
        few = sorted(bob.do(load.connect_times, V4, PORT, 200))
        for job in range(2000, 12000):
            self.assertTrue(self.ubfd1.ask(**{"command": "job-begin", "job": job, "uid": USERS["bob"],
                                              "label": "chem"})["ok"])
        self.assertEqual(self.ubfd1.status()["jobs"]["running"], 10_001)
        many = sorted(bob.do(load.connect_times, V4, PORT, 200))
        print(f"connect with 1 job: p50 {few[100] * 1000:.2f} ms; with 10001: {many[100] * 1000:.2f} ms", flush=True)
        self.assertEqual((len(few), len(many)), (200, 200))


class Required(WithJobs):
    """Labels separate users, and also the jobs of one user."""

    settings = {"policy": {"require_label": True, "labels": {"slurm:physics": EVERYBODY, "slurm:chem": EVERYBODY}}}

    def test_one_user_is_kept_apart_from_himself(self):
        self.begin(self.ubfd2, 1001, "alice", "physics")
        self.begin(self.ubfd1, 1002, "alice", "physics")
        self.begin(self.ubfd1, 1003, "alice", "chem")
        self.begin(self.ubfd1, 1004, "bob", "physics")
        self.in_job("alice", self.two, 1001).listen("tcp", "0.0.0.0", PORT)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", MORE)
        beside, same = self.person("alice", self.one), self.in_job("alice", self.one, 1002)
        other, bob = self.in_job("alice", self.one, 1003), self.in_job("bob", self.one, 1004)
        unknown = self.in_job("carol", self.one, 1099)  # no such job is registered
        for somebody, labelled, plain in ((same, "connected", "EHOSTUNREACH"), (other, "EHOSTUNREACH", "EHOSTUNREACH"),
                                          (beside, "EHOSTUNREACH", "connected"), (bob, "connected", "EHOSTUNREACH"),
                                          (unknown, "EHOSTUNREACH", "EHOSTUNREACH")):
            self.assertEqual((somebody.connect("tcp", V4, PORT), somebody.connect("tcp", V4, MORE)), (labelled, plain))
        self.assert_denied(self.ubfd2, "reason=label-required", "connector=alice", "connector slurm:chem: none in common")
        self.assert_denied(self.ubfd2, "reason=label-required", "connector=carol", "connector not known")


class TwoLabels(WithJobs):
    """A process carries one label of its job and one of its user. Either may be the common label."""

    labels = {"slurm": True, "map": {"teamx": ["alice", "bob"], "teamy": ["alice", "account:gold", "partition:fast"]}}

    def test_either_lets_in(self):
        self.begin(self.ubfd2, 1001, "alice", "physics")
        self.begin(self.ubfd1, 1003, "carol", "physics")
        self.begin(self.ubfd1, 1004, "carol", "chem")
        self.begin(self.ubfd1, 1005, "carol", "chem", "--account", "gold")
        self.begin(self.ubfd1, 1006, "carol", "", "--partition", "fast")
        self.in_job("alice", self.two, 1001).listen("tcp", "0.0.0.0", PORT)
        for somebody, seen in ((self.person("bob", self.one), "connected"),
                               (self.in_job("carol", self.one, 1003), "connected"),
                               (self.in_job("carol", self.one, 1005), "connected"),
                               (self.in_job("carol", self.one, 1006), "connected"),
                               (self.in_job("carol", self.one, 1004), "EHOSTUNREACH"),
                               (self.person("carol", self.one), "EHOSTUNREACH")):
            self.assertEqual(somebody.connect("tcp", V4, PORT), seen)
        self.assert_denied(self.ubfd2, "(labels: listener slurm:physics,map:teamx,map:teamy, connector slurm:chem: none")


class Aliases(WithJobs):
    """Labels of two sources with one meaning."""

    labels = {"slurm": True, "map": {"physics": ["bob"]}}

    def test_match_only_where_an_alias_says_so(self):
        self.begin(self.ubfd2, 1001, "alice", "physics")
        self.in_job("alice", self.two, 1001).listen("tcp", "0.0.0.0", PORT)
        bob = self.person("bob", self.one)
        self.assertEqual(bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
        for ubfd in (self.ubfd1, self.ubfd2):
            settings = json.loads(json.dumps(ubfd.settings))
            settings["labels"]["aliases"] = {"map:physics": "slurm:physics"}
            ubfd.configure(settings)
            self.assertIn("reloaded ", ubfd.reload())
        self.assertEqual(bob.connect("tcp", V4, PORT), "connected")


if __name__ == "__main__":
    case.main()
