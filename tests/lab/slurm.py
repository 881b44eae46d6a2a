"""A real Slurm over nodes: Debian's, with a munge of its own and without accounting. Jobs are in cgroups of the v1
freezer hierarchy, /slurm_NODE/uid_U/job_J/step_S."""

import contextlib
import os
import pathlib
import secrets
import shlex
import shutil
import signal
import time

from . import cgroups
from .tree import FOLDER, Trouble

_HIERARCHY = pathlib.Path("/sys/fs/cgroup/freezer")
_ALL = pathlib.Path("/sys/fs/cgroup/pids/ubf-lab-slurm")  # for the daemons and their descendants
_CONFIGURATION = """
ClusterName=lab
SlurmUser=root
AuthInfo=socket={munge}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SrunPortRange=60001-60100
ProctrackType=proctrack/cgroup
TaskPlugin=task/none
PrologFlags=Alloc,Contain
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# More CPUs than there are: jobs don't wait for each other.
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
PropagateResourceLimits=NONE
PrivateData=accounts,events,jobs,nodes,reservations,usage,users
KillWait=1
ReturnToService=2
"""
_CGROUPS = "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\n"
_OVER = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL")


def is_possible():
    """Whether Slurm is installed, and the machine has the cgroups."""
    programs = ("munged", "slurmctld", "slurmd", "sbatch")
    return all(map(shutil.which, programs)) and cgroups.hierarchy()[1] and _ALL.parent.exists()


class Slurm:
    """slurmctld on one node and a slurmd on each, up and ready. Add users and groups before it starts, since slurmctld
    caches the groups."""

    def __init__(self, controller, nodes, addresses, mcs="mcs/group",
                 mcs_parameters="ondemand,ondemandselect:physics|chem", prolog=None, epilog=None, plugstack=None,
                 partitions=("main",), environment=None, more=None):
        """nodes: name -> Node, and addresses likewise. controller: one of the nodes. prolog, epilog, plugstack: files.
        partitions: the first one is the default. environment: additional variables for the daemons.

        more: settings of slurm.conf beside ours, or instead of them."""
        self.folder = FOLDER / "slurm"
        self.controller = controller
        self._environment = {"PATH": os.environ["PATH"], "LANG": "C", "SLURM_CONF": str(self.folder / "slurm.conf")}
        self._cgroups = [_ALL, *(_HIERARCHY / f"slurm_{name}" for name in nodes)]
        self._daemons = {}  # name -> Popen
        self._lock = cgroups.lock()
        try:
            self._clear()  # what a killed test has left
            _ALL.mkdir()
            self._write_files(addresses, partitions, {
                "MCSPlugin": mcs, "MCSParameters": mcs and mcs_parameters, "Prolog": prolog, "Epilog": epilog,
                "PlugStackConfig": plugstack} | (more or {}))
            self._start_daemons(nodes, environment or {})
        except BaseException:
            self.close()
            raise

    def _write_files(self, addresses, partitions, options):
        self.folder.mkdir(mode=0o755)
        (self.folder / "state").mkdir(mode=0o700)
        (self.folder / "output").mkdir()
        (self.folder / "output").chmod(0o1777)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(64))
        name = self.controller.name
        usual = _CONFIGURATION.format(folder=self.folder, munge=self.folder / "munge.sock").splitlines()
        lines = [line for line in usual if line.split("=")[0] not in options]
        lines.append(f"SlurmctldHost={name}({addresses[name]})")
        lines += [f"{option}={value}" for option, value in options.items() if value]
        lines += [f"NodeName={name} NodeAddr={address} NodeHostname={name} CPUs=32 State=UNKNOWN"
                  for name, address in addresses.items()]
        lines += [f"PartitionName={name} Nodes=ALL Default={'NO' if index else 'YES'} OverSubscribe=YES"
                  for index, name in enumerate(partitions)]
        (self.folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "cgroup.conf").write_text(_CGROUPS)
        (self.folder / "job_container.conf").write_text(f"AutoBasePath=true\nBasePath={self.folder}/containers\n")

    def _start_daemons(self, nodes, more):
        file = self.folder.joinpath
        self._start(self.controller, "munged", more, "--foreground", "--force", "--socket", file("munge.sock"),
                    "--key-file", file("munge.key"), "--pid-file", file("munged.pid"),
                    "--log-file", file("munged.log"), "--seed-file", file("munge.seed"),
                    "--origin", "127.0.0.1")
        self._wait(file("munge.sock").exists, "munged is ready")
        self._start(self.controller, "slurmctld", more, "-D")
        for name, node in nodes.items():
            self._start(node, "slurmd", more, "-D", "-N", name)
        self._wait(lambda: self._idle_nodes() == set(nodes), "all nodes are idle")

    def _start(self, node, program, more, *words):
        name = f"{program}-{node.name}"
        with open(self.folder / f"{name}.log", "w") as log:
            self._daemons[name] = node.start(program, *words, stdout=log, stderr=log, env=self._environment | more)
        (_ALL / "cgroup.procs").write_text(str(self._daemons[name].pid))

    def _idle_nodes(self):
        with contextlib.suppress(Trouble):  # slurmctld isn't there yet
            lines = self.ask("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
            return {line.split()[0] for line in lines if line.endswith(" idle")}

    def ask(self, *command, user=None):
        """Runs one of Slurm's commands. Returns the output."""
        return self.controller.run(*command, user=user, env=self._environment, cwd=self.folder / "output")

    def log(self):
        """The logs of all daemons."""
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')}"
                         for file in sorted(self.folder.glob("*.log")))

    def _wait(self, condition, what, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            dead = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if dead or time.monotonic() > end:
                raise Trouble(f"Slurm: not within {seconds} s: {what}; ended: {dead}; {self.log()}")
            time.sleep(0.02)

    def submit(self, user, command, node=None, label=None, account=None, partition=None, options=(), environment=()):
        """Submits a batch job. command: a list of words. node: one, or several like "node1,node2". environment: words
        like "A=b" in the submitter's. Returns the job's number."""
        chosen = {"nodelist": node, "mcs-label": label, "account": account, "partition": partition}
        words = [f"--{option}={value}" for option, value in chosen.items() if value]
        script = "exec " + shlex.join(map(str, command))
        printed = self.ask("env", *environment, "sbatch", "--parsable", "--output=%j", *words, *options,
                           f"--wrap={script}", user=user)
        return int(printed.split()[-1])

    def begin(self, user, command, node, **options):
        """Submits a batch job. Returns its number once its first process is there. Now and then a slurmstepd of 22.05 with
        job_container/tmpfs ends as it begins, and slurmctld requeues and holds the job: then another one is submitted."""
        for _ in range(5):
            job = self.submit(user, command, node=node.name, **options)
            self._wait(lambda job=job: self._pids(job, node, "batch") or "Restarts=0" not in self.show(job),
                       f"job {job} has begun")
            if self._pids(job, node, "batch"):
                return job
            self.ask("scancel", job)
        raise Trouble(f"Slurm: no job begins: {self.log()}")

    def srun(self, user, *words):
        """Runs a job to its end from the controller's node. Returns the output. words: srun's."""
        return self.ask("srun", *words, user=user)

    def output(self, job):
        """The output of a batch job so far."""
        return (self.folder / "output" / str(job)).read_text(errors="replace")

    def cancel(self, job):
        """Returns when all of the job's processes are gone and its Epilog has run."""
        self.ask("scancel", job)
        self._wait(lambda: self.state(job) in _OVER and not list(_HIERARCHY.glob(f"slurm_*/uid_*/job_{job}")),
                   f"job {job} is over")

    def show(self, job):
        """The job's description in one line."""
        return self.ask("scontrol", "--oneliner", "show", "job", job)

    def state(self, job):
        return self.ask("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").strip()

    def wait_for(self, job, state, seconds=20):
        self._wait(lambda: self.state(job) == state, f"job {job} is {state}", seconds)

    def cgroup(self, job, node, step="extern"):
        """The cgroup of a job's step on a node. Its cgroup.procs lists the processes, and takes more."""
        return next(_HIERARCHY.glob(f"slurm_{node.name}/uid_*/job_{job}/step_{step}"))

    def pids(self, job, node, step="batch"):
        """Waits for the first process: Slurm calls a job RUNNING before and during its Prolog."""
        self._wait(lambda: self._pids(job, node, step), f"step {step} of job {job} is on {node.name}")
        return self._pids(job, node, step)

    def _pids(self, job, node, step):
        with contextlib.suppress(StopIteration, OSError):
            return [int(pid) for pid in (self.cgroup(job, node, step) / "cgroup.procs").read_text().split()]
        return []

    def close(self):
        """Ends all daemons, all jobs, and processes that were put into their cgroups."""
        try:
            self._clear()
            for daemon in self._daemons.values():
                daemon.wait()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock)

    def _clear(self):
        """Kills all processes in the cgroups, and removes the cgroups."""
        end = time.monotonic() + 10
        while left := [folder for top in self._cgroups for folder, _, _ in os.walk(top, topdown=False)]:
            if time.monotonic() > end:
                raise Trouble(f"Slurm: can't be removed: {left}")
            for folder in left:
                _empty(pathlib.Path(folder))
            time.sleep(0.01)


def _empty(cgroup):
    """Kills the cgroup's processes, and removes the cgroup once it is empty."""
    with contextlib.suppress(OSError):  # gone, or still busy: the next turn sees
        for pid in (cgroup / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        if (state := cgroup / "freezer.state").exists():
            state.write_text("THAWED")  # frozen processes don't die
        cgroup.rmdir()
