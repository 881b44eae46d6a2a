#!/usr/bin/python3
"""Real MPI jobs over TCP: Debian's Open MPI and MPICH, with ranks on both nodes, on Ethernet and on the fabric."""

import os
import pathlib
import shlex
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, fabric  # noqa: E402
from lab.case import REFUSED, Counted, wait_until  # noqa: E402
from lab.fabric import TwoNodesOnFabric  # noqa: E402
from lab.launcher import Launcher  # noqa: E402
from lab.tree import add_hosts  # noqa: E402

# family -> the addresses of node1 and node2
ETHERNET = {"v4": ("10.77.0.1", case.V4), "v6": ("fd77::1", case.V6)}
FABRIC = {"v4": ("10.78.0.1", fabric.V4), "v6": ("fd78::1", fabric.V6)}
HINT = "the ends belong to different users; to let a group in, start the listener under it with"


class Mpi(TwoNodesOnFabric):
    """Jobs of an MPI on an interface: two ranks on each node, joined only by TCP."""

    interface, addresses = None, None
    ring = None  # the program
    daemon = None  # the process name of the MPI's own daemon on each node

    def setUp(self):
        super().setUp()
        add_hosts(dict(zip(("node1", "node2"), self.addresses["v4"])))
        self.launcher = Launcher({"node1": self.one, "node2": self.two})
        self.addCleanup(self.launcher.close)
        for user in ("alice", "bob"):
            self.home(user).mkdir()
            os.chown(self.home(user), case.USERS[user], case.USERS[user])
            self.addCleanup(self.two.run, "rm", "-rf", self.home(user))
        self.sessions = case.FOLDER / "sessions"  # in place of /tmp, where tests at the same time have such nodes, too
        self.sessions.mkdir()
        self.sessions.chmod(0o1777)
        self.addCleanup(self.two.run, "rm", "-rf", self.sessions)
        self.stay = self.home("alice") / "stay"  # a ring goes on while this file exists

    def mpirun(self):
        """The command for ranks on both nodes, and its environment."""
        raise NotImplementedError

    @staticmethod
    def home(user):
        return case.FOLDER / f"home-{user}"

    def start(self, user, node, *command, environment=None):
        home = str(self.home(user))
        variables = {"HOME": home, "TMPDIR": home, "LANG": "C"} | (environment or {})
        words = ["env", *(f"{name}={value}" for name, value in variables.items()), *map(str, command)]
        # UCX looks for interfaces in /sys, so the whole job, mpirun included, must see its node's /sys.
        process = self.one.start(self.launcher.agent, node, shlex.join(words), user=user, cwd=home,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(lambda: (process.kill(), process.wait(), process.stdout.close()))
        return process

    def start_ring(self, *arguments):
        command, environment = self.mpirun()
        return self.start("alice", "node1", *command, case.build / "tests" / "netns" / self.ring, *arguments,
                          environment=environment)

    def start_staying_ring(self):
        self.stay.touch()
        job = self.start_ring(self.stay)
        said = []
        for line in job.stdout:
            said.append(line)
            if line == "done\n":
                return job
        self.fail("".join(said))

    def assert_ends_well(self, job):
        self.stay.unlink()
        rest = job.communicate(timeout=60)[0]
        self.assertEqual(job.returncode, 0, rest)

    def packets(self, node, interface):
        """Packets in and out."""
        counts = node.run("cat", "/proc/net/dev").split(f" {interface}:")[1].split()
        return int(counts[1]) + int(counts[9])

    def assert_a_job_of_one_user_runs_to_completion(self):
        other = {"eth0": "ib0", "ib0": "eth0"}[self.interface]
        before = {(node.name, link): self.packets(node, link) for node in (self.one, self.two)
                  for link in (self.interface, other)}
        with Counted(self.ubfd1) as counted1, Counted(self.ubfd2) as counted2:
            job = self.start_ring()
            output = job.communicate(timeout=60)[0]
        self.assertEqual(job.returncode, 0, output)
        self.assertIn("done", output)
        for node in ("node1", "node2"):
            self.assertEqual(output.count(f" on {node}\n"), 2, output)
        for node in (self.one, self.two):
            used, unused = (self.packets(node, link) - before[node.name, link] for link in (self.interface, other))
            self.assertGreater(used, 200)  # the number crosses twice a round
            self.assertLess(unused, 50)
        # ubfd asked about both ends and refused neither. Two ranks that connect to each other at the same moment keep
        # one connection, and may close the other before ubfd has asked for its owner.
        needless = {"no-listener", "connector-unknown"}
        for counted in (counted1, counted2):
            self.assertGreater(counted.reasons()["same-user"], 0)
            self.assertEqual(set(counted.reasons()) - needless, {"same-user"}, self.ubfd1.log() + self.ubfd2.log())

    def assert_another_user_reaches_none_of_its_ports(self):
        job = self.start_staying_ring()
        for index, (node, other) in enumerate(((self.one, self.two), (self.two, self.one))):
            bob = self.person("bob", other)
            ends = [line.split()[3].rpartition(":") for line in node.run("ss", "-Htln").splitlines()]
            here = {"v4": ("0.0.0.0", "*", self.addresses["v4"][index]), "v6": ("[::]", "*")}
            reached = 0
            for family, bindings in here.items():
                address = self.addresses[family][index]
                for _, _, port in (end for end in ends if end[0] in bindings):
                    seen = bob.connect("tcp", address, int(port))
                    self.assertEqual(seen, REFUSED[family], f"{address}:{port}")
                    reached += 1
            self.assertGreaterEqual(reached, 2)
        self.assert_ends_well(job)

    def assert_another_user_cannot_join_and_sees_why(self, *said):
        """mpirun of alice's started a command on node2, and any user can read it in the list of processes. If bob's run
        of it succeeded, it would run ranks of her job."""
        job = self.start_staying_ring()
        commands = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
                    for pid in self.two.run("pgrep", "-x", self.daemon).split()]
        command = next(words for words in commands if any(f"{self.addresses['v4'][0]}:" in word for word in words)
                       and not words[-2:] == ["--proxy-id", "0"])
        attempt = self.start("bob", "node2", *command)
        output = attempt.communicate(timeout=60)[0]
        self.assertNotEqual(attempt.returncode, 0, output)
        for words in said:
            self.assertIn(words, output)
        self.assert_denied(self.ubfd1, " tcp ", self.addresses["v4"][0], "reason=different-user",
                           f"connector=bob({case.USERS['bob']}) {self.daemon}",
                           f"listener=alice({case.USERS['alice']}) mpirun.", HINT)
        self.assert_ends_well(job)


class OpenMpi(Mpi):
    ring, daemon = "ring", "orted"

    def options(self):
        """Two ranks never use shared memory: nodes here share one machine."""
        settings = {"plm_rsh_agent": self.launcher.agent, "btl": "self,tcp", "pml": "ob1",
                    "btl_tcp_if_include": self.interface, "oob_tcp_if_include": self.interface,
                    "orte_tmpdir_base": self.sessions}
        return [word for name, value in settings.items() for word in ("--mca", name, str(value))]

    def mpirun(self):
        return ["mpirun.openmpi", *self.options(), "--oversubscribe", "--host", "node1:2,node2:2"], {}


class OpenMpiOnEthernet(OpenMpi):
    interface, addresses = "eth0", ETHERNET

    def test_a_job_of_one_user_runs_to_completion(self):
        self.assert_a_job_of_one_user_runs_to_completion()

    def test_another_user_reaches_none_of_its_ports(self):
        self.assert_another_user_reaches_none_of_its_ports()


class OpenMpiOnFabric(OpenMpi):
    interface, addresses = "ib0", FABRIC

    def test_a_job_of_open_mpi_runs_to_completion_on_the_fabric(self):
        self.assert_a_job_of_one_user_runs_to_completion()

    def test_another_user_reaches_no_port_of_open_mpi_on_the_fabric(self):
        self.assert_another_user_reaches_none_of_its_ports()

    def test_another_user_cannot_join_open_mpi_on_the_fabric_and_sees_why(self):
        self.assert_another_user_cannot_join_and_sees_why("unable to complete a TCP connection",
                                                          "usually caused by a firewall on the remote host")

    def test_another_user_cannot_connect_to_a_published_port(self):
        """MPI_Comm_connect to an MPI_Open_port of another job, by way of alice's ompi-server on node2."""
        place = self.home("alice") / "server"
        self.start("alice", "node2", "ompi-server", "--no-daemonize", "-r", place, *self.options())
        uri = wait_until(lambda: place.exists() and place.read_text().partition("\n")[0], 20, "its address")

        def join(user, node, *name):
            return self.start(user, node, "timeout", "60", "mpirun.openmpi", *self.options(), "--ompi-server", uri,
                              "-n", "1", case.build / "tests" / "netns" / "join", *name)

        for user, expected in (("alice", "joined\n"), ("bob", "firewall")):
            published = join("alice", "node2")
            name = next(line.split()[1] for line in published.stdout if line.startswith("port "))
            attempt = join(user, "node1", name)
            said = []  # bob's mpirun then hangs, since nothing answers its MPI_Comm_connect
            for line in attempt.stdout:
                said.append(line)
                if expected in line:
                    break
            self.assertIn(expected, "".join(said))
        self.assertNotIn("joined\n", said)
        self.assert_denied(self.ubfd2, fabric.V4, "reason=different-user", "connector=bob", "listener=alice", HINT)


class MpichOnFabric(Mpi):
    """Debian's MPICH speaks through UCX, and then can't MPI_Open_port."""

    interface, addresses = "ib0", FABRIC
    ring, daemon = "ring_mpich", "hydra_pmi_proxy"

    def mpirun(self):
        return (["mpirun.mpich", "-iface", self.interface, "-launcher", "ssh", "-launcher-exec", self.launcher.agent,
                 "-hosts", "node1,node2", "-ppn", "2", "-n", "4"],
                {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": self.interface})

    def test_a_job_of_mpich_runs_to_completion_on_the_fabric(self):
        self.assert_a_job_of_one_user_runs_to_completion()

    def test_another_user_reaches_no_port_of_mpich_on_the_fabric(self):
        self.assert_another_user_reaches_none_of_its_ports()

    def test_another_user_cannot_join_mpich_on_the_fabric_and_sees_why(self):
        self.assert_another_user_cannot_join_and_sees_why(
            'unable to connect from "node2" to "10.78.0.1" (No route to host)', "check for firewalls!")


if __name__ == "__main__":
    case.main()
