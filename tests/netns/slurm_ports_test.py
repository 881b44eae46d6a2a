#!/usr/bin/python3
"""A real Slurm over three nodes, whose slurm.conf ubfd reads ([slurm] conf). Root is exempt nowhere."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import Case, tell_of_each_refusal, wait_until  # noqa: E402
from lab.node import Node, join_by_switch  # noqa: E402
from lab.slurm import Slurm, is_possible  # noqa: E402
from lab.tree import FOLDER  # noqa: E402
from lab.ubfd import write_key  # noqa: E402

CONTROLLER, SLURMD, DATABASE, SRUN, OTHER = 6817, 6818, 6819, 60050, 9001
CONF = {"slurm": {"conf": str(FOLDER / "slurm" / "slurm.conf")}}


def reaches(member, place, port):
    """Whether a connection begins. Slurm's daemons close, reset or leave one that does not speak their protocol."""
    return member.connect("tcp", place, port).local is not None


class SlurmPorts(Case):
    """node1 is the controller and the login node, too. node4 runs ubfd, but is not in slurm.conf."""

    def setUp(self):
        if not is_possible():
            self.skipTest("no Slurm, or no freezer cgroups, here")
        super().setUp()
        self.nodes = [Node(f"node{number}") for number in (1, 2, 3, 4)]
        self.one, self.two, self.three, self.four = self.nodes
        self.switch = join_by_switch(self.nodes, ["10.77.0.{}/24", "fd77::{}/64"])
        tell_of_each_refusal(*self.nodes)
        self.key = write_key(FOLDER / "key")
        members = self.nodes[:3]
        self.slurm = Slurm(self.one, {node.name: node for node in members},
                           {node.name: f"10.77.0.{index}" for index, node in enumerate(members, 1)}, mcs=None)
        self.addCleanup(self.slurm.close)
        self.daemons = [self.start_ubfd(node, CONF) for node in self.nodes]

    def reload(self, settings):
        for daemon in self.daemons:
            daemon.configure(daemon.settings | settings)
            daemon.reload()

    def refused(self):
        return [line for daemon in self.daemons for line in daemon.denials()]

    def run_all_kinds_of_jobs(self):
        everywhere = ["node1", "node2", "node3"]
        self.assertLessEqual(set(everywhere), set(self.slurm.srun("alice", "--nodes=3", "hostname").split()))
        terminal = "import pty; pty.spawn(['srun', '--nodelist=node2', '--pty', 'hostname'])"
        self.assertIn("node2", self.slurm.ask("/usr/bin/python3", "-c", terminal, user="alice"))
        self.assertLessEqual(set(everywhere),
                             set(self.slurm.ask("salloc", "--nodes=3", "srun", "hostname", user="alice").split()))
        job = self.slurm.submit("alice", ["srun", "sh", "-c", "sleep 2; hostname"], node="node2")
        self.slurm.pids(job, self.two, step="0")
        self.assertIn("node2", self.slurm.ask("sattach", f"{job}.0", user="alice"))
        self.slurm.wait_for(job, "COMPLETED")
        self.assertIn("node2", self.slurm.output(job))

    def test_slurm_works_and_its_ports_are_for_its_hosts(self):
        self.run_all_kinds_of_jobs()
        self.assertEqual(self.refused(), [])

        with self.subTest("programs, too, that ubfd would keep apart"):
            for user in ("root", "bob"):
                stranger, member = self.person(user, self.four), self.person(user, self.one)
                for port, place in ((SLURMD, "10.77.0.2"), (CONTROLLER, "10.77.0.1")):
                    self.assertEqual(stranger.connect("tcp", place, port), "EHOSTUNREACH")
                    self.assertTrue(reaches(member, place, port))
            self.assertGreaterEqual(self.daemons[1].status()["kernel"]["slurm_foreign"]["packets"], 2)
        with self.subTest("a port of srun's is another user's no more than any port"):
            alice = self.person("alice", self.one)
            alice.listen("tcp", "10.77.0.1", SRUN)
            for user in ("bob", "root"):  # root's program is no slurmstepd
                self.assertEqual(self.person(user, self.two).connect("tcp", "10.77.0.1", SRUN), "EHOSTUNREACH")
            self.assertEqual(self.person("alice", self.two).connect("tcp", "10.77.0.1", SRUN), "connected")
            # The controller's root may: slurmctld speaks with srun.
            self.assertEqual(self.person("root", self.one).connect("tcp", "10.77.0.1", SRUN), "connected")
            alice.listen("tcp", "10.77.0.1", OTHER)
            self.assertEqual(self.person("root", self.one).connect("tcp", "10.77.0.1", OTHER), "EHOSTUNREACH")
        with self.subTest("a user's program at a port of Slurm's is a program like any other"):
            alice = self.person("alice", self.four)
            self.reload({"slurm": CONF["slurm"] | {"submit_hosts": ["10.77.0.4"]}})
            alice.listen("tcp", "10.77.0.4", SLURMD)
            self.assertEqual(self.person("bob", self.two).connect("tcp", "10.77.0.4", SLURMD), "EHOSTUNREACH")
            self.assertEqual(self.person("alice", self.two).connect("tcp", "10.77.0.4", SLURMD), "connected")
            self.assertTrue(reaches(self.person("bob", self.four), "10.77.0.2", SLURMD))

    def test_a_jobs_output_arrives_where_labels_are_required(self):
        """srun is in no job. Before its tasks begin, slurmstepd opens the connection for their output as their user."""
        self.reload({"slurm": CONF["slurm"], "labels": {"slurm": True}, "policy": {"require_label": True}})
        for _ in range(5):
            self.assertIn("node2", self.slurm.ask("timeout", "20", "srun", "--nodelist=node2", "hostname", user="alice"))
        self.assertEqual(self.refused(), [])
        alice = self.person("alice", self.one)
        alice.listen("tcp", "10.77.0.1", SRUN)
        for user in ("bob", "root"):
            self.assertEqual(self.person(user, self.two).connect("tcp", "10.77.0.1", SRUN), "EHOSTUNREACH")

    def test_without_slurm_conf_it_does_not_work(self):
        """So the test above proves something."""
        self.reload({"slurm": {}})
        member = self.person("bob", self.one)
        wait_until(lambda: member.connect("tcp", "10.77.0.2", SLURMD) == "EHOSTUNREACH", 5, "a refusal")


class PortsOfTheFile(Case):
    """slurmdbd, a SlurmUser who is not root, and IPv6, with listeners in place of Slurm's daemons."""

    places = (("node1", "carol", CONTROLLER), ("node2", "root", SLURMD), ("node3", "carol", DATABASE))

    def write(self, network):
        conf = FOLDER / "slurm.conf"
        conf.write_text(f"ClusterName=lab\nSlurmUser=carol\nSlurmctldHost=node1({network}1)\n"
                        f"AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost={network}3\n"
                        + "".join(f"NodeName=node{n} NodeAddr={network}{n}\n" for n in (1, 2, 3)))
        return {"slurm": {"conf": str(conf)}}

    def test_each_daemons_port_is_for_the_hosts_of_slurm_in_both_families(self):
        nodes = {f"node{number}": Node(f"node{number}") for number in (1, 2, 3, 4)}
        self.switch = join_by_switch(list(nodes.values()), ["10.77.0.{}/24", "fd77::{}/64"])
        tell_of_each_refusal(*nodes.values())
        self.key = write_key(FOLDER / "key")
        daemons = [self.start_ubfd(node, self.write("10.77.0.")) for node in nodes.values()]
        for name, user, port in self.places:
            self.person(user, nodes[name]).listen("tcp", "::", port)
        for network in ("10.77.0.", "fd77::"):
            self.write(network)
            for daemon in daemons:
                daemon.reload()
            for name, _, port in self.places:
                place = network + name[-1]
                for user in ("root", "bob"):
                    with self.subTest(place, user=user, port=port):
                        for member in ("node1", "node2", "node3"):
                            self.assertEqual(self.person(user, nodes[member]).connect("tcp", place, port), "connected")
                        self.assertEqual(self.person(user, nodes["node4"]).connect("tcp", place, port), "EHOSTUNREACH")
        alice = self.person("alice", nodes["node2"])
        alice.listen("tcp", "::", DATABASE)  # the port is slurmdbd's at its own host alone
        self.assertEqual(self.person("bob", nodes["node1"]).connect("tcp", "fd77::2", DATABASE), "EHOSTUNREACH")


if __name__ == "__main__":
    case.main()
