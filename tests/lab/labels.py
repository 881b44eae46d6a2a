"""For tests of labels: two nodes with labels, and with jobs."""

import pathlib
import shutil
import subprocess
import tempfile

from . import cgroups
from .case import USERS, TwoNodes

# Only the users of these tests may carry a label.
EVERYBODY = {"allow": ["alice", "bob", "carol"]}


class OwnState(TwoNodes):
    """Each ubfd has a folder of its own for its state."""

    labels = {}

    def start_ubfd(self, node, settings=None, **options):
        state = pathlib.Path(tempfile.mkdtemp(dir="/run"))
        self.addCleanup(shutil.rmtree, state)
        labels = {"labels": self.labels | {"state_directory": str(state)}}
        return super().start_ubfd(node, (self.settings if settings is None else settings) | labels, **options)


class Labelled(OwnState):
    def ubfctl(self, ubfd, *words, status=0):
        process = ubfd.ctl(*words, stderr=subprocess.STDOUT)
        self.assertEqual(process.returncode, status, process.stdout)
        return process.stdout


def top():
    return cgroups.hierarchy()[0]


def job_path(user, job, step="0"):
    return cgroups.job_path(USERS[user], job, step)


class WithJobs(Labelled):
    """Jobs on two nodes, with their processes in cgroups like slurmd's."""

    labels = {"slurm": True}
    settings = {"policy": {"labels": {"slurm:physics": EVERYBODY, "slurm:chem": EVERYBODY}}}

    def setUp(self):
        self.cgroups = cgroups.JobCgroups()
        self.addCleanup(self.cgroups.close)
        super().setUp()

    def begin(self, ubfd, job, user, label, *words, status=0):
        return self.ubfctl(ubfd, "job", "begin", "--job", job, "--uid", USERS[user], "--label", label, *words,
                           status=status)

    def end(self, ubfd, job):
        self.ubfctl(ubfd, "job", "end", "--job", job)

    def in_job(self, user, node, job, owner=None, step="0"):
        """A user's program whose processes belong to a job."""
        somebody = self.person(user, node)
        self.cgroups.put(somebody.pid, USERS[owner or user], job, step)
        return somebody

    def two_jobs(self, label="physics", other="physics"):
        """alice's job 1001 on node2, bob's job 1002 on node1."""
        self.begin(self.ubfd2, 1001, "alice", label)
        self.begin(self.ubfd1, 1002, "bob", other)
        return self.in_job("alice", self.two, 1001), self.in_job("bob", self.one, 1002)
