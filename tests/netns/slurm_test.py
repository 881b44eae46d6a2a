#!/usr/bin/python3
"""A real Slurm (Debian's) on both nodes, with labelled jobs: ubfd learns of them through the hooks that it ships, and
decides by them."""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import V4, TwoNodes, wait_until  # noqa: E402
from lab.slurm import Slurm, is_possible  # noqa: E402
from lab.tree import FOLDER, add_users, remount_proc  # noqa: E402

PORT, ADOPTED = 9001, 9002
EVERYBODY = {"allow": ["alice", "bob", "carol"]}
# Programs for jobs: a server that echoes, and a client that prints what it sees, at first and in the end.
SERVER = """
import socket, socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("0.0.0.0", {port}), Echo).serve_forever()
"""
CLIENT = """
import socket
try:
    connection = socket.create_connection(("{address}", {port}), timeout=5)
    connection.sendall(b"welcome")
    print(connection.recv(16).decode(), flush=True)
    connection.settimeout(None)
    print("end", connection.recv(16), flush=True)
except OSError as error:
    print(error.strerror, flush=True)
"""
HOOK = """#!/bin/sh
PATH={programs}:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec {build}/daemon/slurm/{hook} --socket {folder}/$SLURMD_NODENAME.sock {words}
"""


class WithSlurm(TwoNodes):
    mcs, parameters, hook_words = "mcs/group", "ondemand,ondemandselect:physics|chem", ""
    more, slurm_conf = {}, {}
    settings = {"policy": {"labels": {"slurm:*": EVERYBODY}, "exempt_listeners": ["root"],
                           "exempt_connectors": ["root"]},
                "scope": {"exempt_ports": ["tcp/60001-60100"]}, "labels": {"slurm": True}}

    def setUp(self):
        if not is_possible():
            self.skipTest("no Slurm, or no freezer cgroups, here")
        self.state = tempfile.TemporaryDirectory(dir="/run")
        self.addCleanup(self.state.cleanup)
        super().setUp()
        add_users({}, {"physics": (63020, ["alice", "bob"]), "chem": (63021, ["alice", "carol"])})
        self.slurm = Slurm(self.one, {"node1": self.one, "node2": self.two},
                           {"node1": "10.77.0.1", "node2": "10.77.0.2"}, mcs=self.mcs,
                           mcs_parameters=self.parameters, more=self.slurm_conf, **self.hooks())
        self.addCleanup(self.slurm.close)

    def start_ubfd(self, node, settings=None, **options):
        settings = self.settings | {"labels": {"slurm": True, "state_directory": f"{self.state.name}/{node.name}"}}
        return super().start_ubfd(node, settings | self.more, **options)

    def hooks(self):
        return {"prolog": self.hook("prolog", self.hook_words), "epilog": self.hook("epilog")}

    def hook(self, name, words=""):
        file = FOLDER / name
        file.write_text(HOOK.format(programs=case.build / "daemon", build=case.build, hook=name, folder=FOLDER,
                                    words=words))
        file.chmod(0o755)
        return file

    def python(self, text, **values):
        return ["/usr/bin/python3", "-c", text.format(**values)]

    def serve(self, user, **options):
        """Starts a job on node2 that listens."""
        job = self.slurm.submit(user, self.python(SERVER, port=PORT), node="node2", **options)
        self.slurm.pids(job, self.two)
        wait_until(lambda: self.two.run("ss", "-Htln", "sport", "=", PORT).strip(), 10, "the listener")
        return job

    def call(self, user, **options):
        """Starts a job on node1 that connects to the server. Returns the job and the first line that it sees."""
        job = self.slurm.submit(user, self.python(CLIENT, address=V4, port=PORT), node="node1", **options)
        file = self.slurm.folder / "output" / str(job)
        wait_until(lambda: file.exists() and "\n" in file.read_text(), 20, f"job {job} to say something")
        return job, self.slurm.output(job).splitlines()[0]

    def assert_unlabelled(self, user):
        self.assertEqual(self.person(user, self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")


class GroupLabels(WithSlurm):
    """mcs/group: the user chooses among their groups; hidepid and PrivateData are on."""

    def setUp(self):
        remount_proc("hidepid=2")
        super().setUp()

    def test_jobs_of_one_label_talk_and_are_cut_when_one_is_cancelled(self):
        server = self.serve("alice", label="physics")
        self.assertIn("physics", self.ubfd2.ask(command="jobs")["jobs"][0]["label"])
        first, seen = self.call("bob", label="physics")
        self.assertEqual(seen, "welcome")
        second, seen = self.call("bob", label="physics")
        self.assertEqual(seen, "welcome")
        self.assertEqual(self.call("carol", label="chem")[1], "No route to host")
        self.assertEqual(self.call("bob")[1], "No route to host")
        self.assert_unlabelled("bob")
        self.assert_denied(self.ubfd2, "connector=carol", "(labels: listener slurm:physics, connector slurm:chem")
        self.slurm.cancel(first)
        self.assertEqual(self.slurm.state(second), "RUNNING")
        self.slurm.cancel(server)
        wait_until(lambda: len(self.slurm.output(second).splitlines()) == 2, 5, "the end of the other job's connection")
        self.assertEqual(self.ubfd2.ask(command="jobs")["jobs"], [])

    def test_a_socket_that_outlives_its_job_has_its_label_no_more(self):
        """Another process outside the job holds the socket. The socket stays open, but its flows end with the job."""
        server = self.serve("alice", label="physics")
        client = self.slurm.submit("bob", ["sleep", "1000"], node="node1", label="physics")
        self.slurm.pids(client, self.one)
        bob = self.adopt("bob", client)
        seen = bob.connect("tcp", V4, PORT)
        self.assertEqual(seen, "connected")
        beside = self.person("bob", self.one)
        handle = bob.hand_over(seen.handle, beside)
        self.slurm.cancel(client)
        wait_until(lambda: self.ubfd2.status()["flows_ended"] == 1, 5, "the end of the flow")
        self.assertNotEqual(beside.say(handle), "hello")
        self.slurm.cancel(server)

    def adopt(self, user, job):
        """Moves a session into the job's cgroup, as pam_slurm_adopt does for ssh."""
        somebody = self.person(user, self.one)
        (self.slurm.cgroup(job, self.one) / "cgroup.procs").write_text(str(somebody.pid))
        return somebody

    def test_a_session_in_the_extern_step_counts_as_the_job(self):
        self.serve("alice", label="physics")
        job = self.slurm.submit("bob", ["sleep", "1000"], node="node1", label="physics")
        self.slurm.pids(job, self.one)
        self.assertEqual(self.adopt("bob", job).connect("tcp", V4, PORT), "connected")
        self.assert_unlabelled("bob")

    def test_what_users_write_is_no_source_of_a_label(self):
        """ubfd ignores the job's name, which scontrol prints among its own fields, its comment and its environment."""
        self.serve("alice", label="physics")
        spoof = "x MCS_label=physics UserId=alice(63001)"
        seen = self.call("carol", label="chem", options=[f"--job-name={spoof}", f"--comment={spoof}"],
                         environment=["SLURM_JOB_ID=1", "SLURM_MCS_LABEL=physics", "MCS_label=physics"])[1]
        self.assertEqual(seen, "No route to host")
        self.assert_denied(self.ubfd2, "connector=carol", "connector slurm:chem")

    def test_srun_on_both_nodes(self):
        """Slurm's own connections pass: root's by exemption, srun's ports by scope."""
        printed = self.slurm.srun("alice", "--nodes=2", "--mcs-label=physics", "hostname")
        self.assertEqual(sorted(printed.split()), ["node1", "node2"])


class UserLabels(WithSlurm):
    """mcs/user: each user has a label, and Prolog's environment holds it."""

    mcs, parameters, hook_words = "mcs/user", "enforced,noselect", "--label-from user"

    def test_come_from_the_environment_of_prolog(self):
        self.serve("alice")
        self.assertEqual(self.ubfd2.ask(command="jobs")["jobs"][0]["label"], "alice")
        self.assertEqual(self.call("alice")[1], "welcome")
        self.assertEqual(self.call("bob")[1], "No route to host")
        self.assert_denied(self.ubfd2, "(labels: listener slurm:alice, connector slurm:bob: none in common)")


class AccountLabels(WithSlurm):
    """mcs/account: without accounting, users write the account themselves, so the label needs a rule."""

    mcs, parameters, hook_words = "mcs/account", "enforced,noselect", "--label-from account"
    more = {"policy": {"labels": {"slurm:chem": {"allow": ["alice", "bob"]}}, "exempt_listeners": ["root"],
                       "exempt_connectors": ["root"]}}

    def test_are_a_claim_until_a_rule_says_who_may_carry_them(self):
        self.serve("alice", account="chem")
        self.assertEqual(self.call("bob", account="chem")[1], "welcome")
        self.assertEqual(self.call("carol", account="chem")[1], "No route to host")
        self.assert_denied(self.ubfd2, "connector=carol", "does not let the connector carry it")


class FreeLabels(WithSlurm):
    """mcs/label takes any text, as does this Slurm without a plugin. A text that is a valid label is still only a
    claim."""

    mcs, parameters = None, None
    more = {"policy": {"labels": {"slurm:agreed": {"allow": ["alice", "bob"]}}, "exempt_listeners": ["root"],
                       "exempt_connectors": ["root"]}}

    def label_of(self, text):
        """Returns the registered label of a job that was submitted with this text."""
        job = self.slurm.submit("alice", ["sleep", "1000"], node="node1", options=[f"--mcs-label={text}"])
        self.slurm.pids(job, self.one)
        jobs = {known["job"]: known["label"] for known in self.ubfd1.ask(command="jobs")["jobs"]}
        self.slurm.cancel(job)
        return jobs.get(job, "not registered")

    def test_are_what_users_like(self):
        self.assertEqual(self.label_of("anything-i-like"), "anything-i-like")
        for text in ("x y", "agreed\nsecret", "a\x1b[2J", "x" * 65):
            self.assertEqual(self.label_of(text), "not registered", text)
        self.assertEqual(self.ubfd1.status()["jobs"]["refused"], 3)  # ubfctl itself refuses the label of two lines
        self.serve("alice", label="agreed")
        self.assertEqual(self.call("bob", label="agreed")[1], "welcome")
        self.assertEqual(self.call("carol", label="agreed")[1], "No route to host")


class Spank(WithSlurm):
    """The SPANK plugin does the same, without Prolog and Epilog."""

    def hooks(self):
        if not (case.build / "daemon" / "slurm" / "ubf.so").exists():
            self.skipTest("the SPANK plugin is not built: libslurm-dev is missing")
        ubfctl = FOLDER / "ubfctl"
        ubfctl.write_text(f"#!/bin/sh\nexec {case.build}/daemon/ubfctl --socket {FOLDER}/$(hostname).sock \"$@\"\n")
        ubfctl.chmod(0o755)
        stack = FOLDER / "plugstack.conf"
        stack.write_text(f"required {case.build}/daemon/slurm/ubf.so ubfctl={ubfctl} label-from=controller\n")
        return {"plugstack": stack}

    def test_the_plugin_tells_of_jobs_too(self):
        server = self.serve("alice", label="physics")
        self.assertEqual(self.call("bob", label="physics")[1], "welcome")
        self.assertEqual(self.call("carol", label="chem")[1], "No route to host")
        self.slurm.cancel(server)
        wait_until(lambda: not any(job["job"] == server for job in self.ubfd2.ask(command="jobs")["jobs"]), 3)


if __name__ == "__main__":
    case.main()
