#!/usr/bin/python3
"""An administrator rolls ubfd out as docs/rollout.md says, over a real Slurm with real jobs: Open MPI, Dask, and a
Jupyter server."""

import importlib.util
import os
import pathlib
import shutil
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import REFUSED, V4, wait_until  # noqa: E402
from lab.tree import FOLDER, add_hosts  # noqa: E402
from slurm_test import WithSlurm  # noqa: E402

SCHEDULER, NOTEBOOK = 8786, 8888
URL = f"http://{V4}:{NOTEBOOK}/api/status?token=shared"
# A user of Dask, who prints the sum that the cluster computed.
CLIENT = f"""
from distributed import Client
with Client("tcp://{V4}:{SCHEDULER}", timeout=20) as client:
    print("sum", client.submit(sum, [1, 2, 3]).result(timeout=20), flush=True)
"""
MPI = {"btl": "self,tcp", "pml": "ob1", "btl_tcp_if_include": "eth0", "oob_tcp_if_include": "eth0"}


class RollOut(WithSlurm):
    """Alice computes with MPI and Dask, and has a notebook. She shares Dask and the notebook with bob, and nothing with
    carol."""

    more = {"policy": WithSlurm.settings["policy"] | {"mode": "observe"}}

    def setUp(self):
        if not shutil.which("dask-scheduler") or not importlib.util.find_spec("jupyter_server"):
            self.skipTest("no Dask, or no Jupyter, here")
        super().setUp()
        add_hosts({"node1": "10.77.0.1", "node2": V4})
        self.homes = FOLDER / "homes"
        for user in ("alice", "bob", "carol"):
            home = self.homes / user
            home.mkdir(parents=True)
            os.chown(home, case.USERS[user], case.USERS[user])
        self.stay = self.homes / "alice" / "stay"  # MPI jobs go on while this file exists

    def submit(self, user, node, *command, **options):
        """Starts a job with a home."""
        return self.slurm.submit(user, ["env", f"HOME={self.homes / user}", "LC_ALL=C", *command], node=node, **options)

    def listens(self, node, port):
        wait_until(lambda: node.run("ss", "-Htln", "sport", "=", port).strip(), 30, f"a server at port {port}")

    def result(self, user, *command):
        """Runs a job of the user on node1 to its end. Returns its final state, and what it printed."""
        job = self.submit(user, "node1", *command)
        wait_until(lambda: self.slurm.state(job) in ("COMPLETED", "FAILED"), 60, f"the end of {command}")
        return self.slurm.state(job), self.slurm.output(job)

    def start_servers(self):
        self.submit("alice", "node2", "dask-scheduler", "--host", V4, "--port", SCHEDULER, "--no-dashboard")
        self.listens(self.two, SCHEDULER)
        self.submit("alice", "node1", "dask-worker", f"{V4}:{SCHEDULER}", "--host", "10.77.0.1", "--nthreads", "1",
                    "--no-dashboard", "--no-nanny", "--memory-limit", "0")
        self.submit("alice", "node2", "/usr/bin/python3", "-m", "jupyter_server", "--no-browser", "--ip=0.0.0.0",
                    f"--port={NOTEBOOK}", "--ServerApp.token=shared")
        self.listens(self.two, NOTEBOOK)

    def start_mpi(self):
        """An MPI job with two ranks on each node, which has exchanged its first messages."""
        self.stay.touch()
        own = {"orte_tmpdir_base": self.homes / "alice"}  # /tmp has that of other tests' nodes
        settings = [word for name, value in (MPI | own).items() for word in ("--mca", name, value)]
        job = self.submit("alice", "node1,node2", "mpirun.openmpi", *settings, case.build / "tests/netns/ring",
                          self.stay, options=["--nodes=2", "--ntasks-per-node=2"])
        file = self.slurm.folder / "output" / str(job)
        wait_until(lambda: file.exists() and "done\n" in file.read_text(), 60, f"MPI: {file} {self.slurm.log()}")
        self.assertEqual([file.read_text().count(f" on {node}\n") for node in ("node1", "node2")], [2, 2])
        return job

    def assert_ends_well(self, job):
        self.stay.unlink()
        self.slurm.wait_for(job, "COMPLETED")

    def assert_reads(self, user):
        state, output = self.result(user, "curl", "-sS", URL)
        self.assertEqual(state, "COMPLETED", output)
        self.assertIn('"started"', output)

    def assert_computes(self, user):
        state, output = self.result(user, "/usr/bin/python3", "-c", CLIENT)
        self.assertIn("sum 6\n", output)
        self.assertEqual(state, "COMPLETED", output)

    def assert_all_work(self):
        for user in ("alice", "bob"):
            self.assert_reads(user)
            self.assert_computes(user)
        self.assert_ends_well(self.start_mpi())

    def report(self, *words):
        """The report of both nodes together."""
        files = []
        for ubfd in (self.ubfd1, self.ubfd2):
            files.append(FOLDER / f"report-{ubfd.node.name}.json")
            files[-1].write_text(ubfd.ctl("--json", "report").stdout)
        return self.ubfd1.ctl("report", *words, "--from", *files).stdout

    def enforce(self, lines):
        """Puts the lines, as they are, into a file of their own on both nodes, and enforces."""
        for ubfd in (self.ubfd1, self.ubfd2):
            folder = FOLDER / f"{ubfd.node.name}.toml.d"
            folder.mkdir()
            (folder / "50-allow.toml").write_text(lines)
            policy = self.more["policy"] | {"mode": "enforce"}
            ubfd.configure(ubfd.settings | {"policy": policy})
            process = ubfd.ctl("reload")
            self.assertEqual(process.returncode, 0, process.stderr)

    def assert_carol_stays_out(self):
        state, output = self.result("carol", "curl", "-sS", URL)
        self.assertEqual(state, "FAILED", output)
        self.assertIn("Couldn't connect to server", output)
        carol = {node: self.person("carol", node) for node in (self.one, self.two)}
        self.assertEqual(carol[self.one].connect("tcp", V4, SCHEDULER), REFUSED["v4"])
        reached = 0
        for node, other, address in ((self.one, self.two, "10.77.0.1"), (self.two, self.one, V4)):
            ends = node.run("sh", "-c", "ss -Htlnp | grep -E 'orted|mpirun|ring'").splitlines()
            for host, _, port in (line.split()[3].rpartition(":") for line in ends):
                if host in ("0.0.0.0", address):
                    self.assertEqual(carol[other].connect("tcp", address, int(port)), REFUSED["v4"], port)
                    reached += 1
        self.assertGreaterEqual(reached, 4)  # of each rank, at least

    def test_what_ran_before_runs_after_and_nobody_else_gets_in(self):
        self.start_servers()
        self.assert_all_work()
        seen = self.report()
        self.assertIn(f"tcp/{SCHEDULER} of alice at {V4} (dask-scheduler): different-user, by 1 user: bob", seen)
        self.assertIn(f"tcp/{NOTEBOOK} of alice at {V4}", seen)
        self.assertNotIn("carol", seen)
        suggested = self.report("--suggest")
        self.assertEqual(sorted(tomllib.loads(suggested)["policy"]["allow"]),
                         [f"bob>alice tcp/{SCHEDULER}@{V4}", f"bob>alice tcp/{NOTEBOOK}@{V4}"])

        running = self.start_mpi()
        self.enforce(suggested)
        self.assertEqual(self.ubfd2.ctl("status").returncode, 0)
        self.assert_carol_stays_out()
        self.assert_ends_well(running)
        self.assert_all_work()
        for ubfd in (self.ubfd1, self.ubfd2):
            others = [line for line in ubfd.denials() if "connector=carol" not in line]
            self.assertEqual(others, [])
        self.assert_denied(self.ubfd2, "connector=carol", f":{NOTEBOOK} ", "reason=different-user")


if __name__ == "__main__":
    case.main()
