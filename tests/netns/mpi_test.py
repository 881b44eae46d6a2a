#!/usr/bin/python3
"""A real MPI job: Debian's Open MPI, ranks on both nodes, over TCP."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import Counted, TwoNodes  # noqa: E402
from lab.launcher import Launcher  # noqa: E402
from lab.tree import add_hosts  # noqa: E402


class OpenMpi(TwoNodes):
    def setUp(self):
        super().setUp()
        add_hosts({"node1": "10.77.0.1", "node2": "10.77.0.2"})
        self.launcher = Launcher({"node1": self.one, "node2": self.two})
        self.addCleanup(self.launcher.close)
        self.home = case.FOLDER / "home"
        self.home.mkdir()
        os.chown(self.home, case.USERS["alice"], case.USERS["alice"])
        self.addCleanup(lambda: self.two.run("rm", "-rf", self.home))

    def start(self, *program):
        """mpirun on node1, two ranks on each node. Nothing but TCP between them, and no rank shares memory
        with one that only seems to be on its node."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.home), "LANG": "C"}
        return self.one.start(
            "mpirun", "--mca", "plm_rsh_agent", self.launcher.agent, "--mca", "btl", "self,tcp", "--mca", "pml", "ob1",
            "--mca", "btl_tcp_if_include", "eth0", "--mca", "oob_tcp_if_include", "eth0", "--oversubscribe",
            "--host", "node1:2,node2:2", *program, user="alice", env=environment, cwd=self.home, stdout=-1, stderr=-2)

    def test_a_job_of_one_user_runs_to_completion(self):
        with Counted(self.ubfd1) as counted1, Counted(self.ubfd2) as counted2:
            job = self.start(case.build / "tests" / "netns" / "ring")
            output = job.communicate(timeout=60)[0]
        self.assertEqual(job.returncode, 0, output)
        self.assertIn("done", output)
        for node in ("node1", "node2"):
            self.assertEqual(output.count(f" on {node}\n"), 2, output)
        # Both were asked, and neither refused. (Two ranks that connect to each other at the same moment keep one
        # connection: the other may be closed before its node was asked whose it is.)
        needless = {"no-listener", "connector-unknown"}
        for counted in (counted1, counted2):
            self.assertGreater(counted.reasons()["same-user"], 0)
            self.assertEqual(set(counted.reasons()) - needless, {"same-user"}, self.ubfd1.log() + self.ubfd2.log())

    def test_another_user_reaches_none_of_its_ports(self):
        job = self.start(case.build / "tests" / "netns" / "ring", "5")
        lines = iter(job.stdout.readline, "")
        self.assertTrue(any(line == "done\n" for line in lines))
        for node, address, other in ((self.one, "10.77.0.1", self.two), (self.two, "10.77.0.2", self.one)):
            ends = [line.split()[3] for line in node.run("ss", "-Htln").splitlines()]
            ports = {int(end.rpartition(":")[2]) for end in ends if not end.startswith("127.")}
            self.assertGreaterEqual(len(ports), 2)
            for port in ports:
                seen = self.person("bob", other).connect("tcp", address, port)
                self.assertEqual(seen, "EHOSTUNREACH", f"{address}:{port}")
        rest = job.communicate(timeout=60)[0]
        self.assertEqual(job.returncode, 0, rest)


if __name__ == "__main__":
    case.main()
