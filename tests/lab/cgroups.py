"""The control groups of this machine: version 1 with its freezer, which a Slurm needs, or version 2 alone."""

import contextlib
import fcntl
import os
import pathlib

from .tree import Trouble, mount

TOP = pathlib.Path("/sys/fs/cgroup")


def hierarchy():
    """Returns the folder of the processes' groups, and whether it is of version 1. Mounts version 1 in this tree if no
    hierarchy is mounted."""
    if not os.access(TOP / "freezer", os.W_OK) and not (TOP / "cgroup.controllers").exists():
        _mount_v1()
    is_v1 = (TOP / "freezer").exists()
    return (TOP / "freezer" if is_v1 else TOP), is_v1


def lock():
    """Locks the cgroups, which all trees of the machine share, for tests that make groups with Slurm's names. Slurm
    itself locks the hierarchy's folder. Returns a descriptor; closing it releases the lock."""
    hierarchy()
    held = os.open(TOP, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def job_path(user, job, step="0"):
    """The folder of a job's processes, if a node runs several slurmd. user: a uid."""
    if hierarchy()[1]:
        return f"slurm_test/uid_{user}/job_{job}/step_{step}"
    return f"system.slice/test_slurmstepd.scope/job_{job}/step_{step}/user/task_0"


class JobCgroups:
    """The cgroups that slurmd would make, until close()."""

    def __init__(self):
        self._made = []
        self._lock = lock()
        self._top = hierarchy()[0]

    def make(self, path):
        cgroup = self._top
        for part in path.split("/"):
            cgroup = cgroup / part
            if not cgroup.exists():
                cgroup.mkdir()
                self._made.append(cgroup)
        return cgroup

    def put(self, pid, user, job, step="0"):
        (self.make(job_path(user, job, step)) / "cgroup.procs").write_text(str(pid))

    def close(self):
        for cgroup in reversed(self._made):
            with contextlib.suppress(OSError):
                for pid in (cgroup / "cgroup.procs").read_text().split():
                    (self._top / "cgroup.procs").write_text(pid)
                cgroup.rmdir()
        os.close(self._lock)


def _mount_v1():
    try:
        if not TOP.exists():
            mount("sysfs", "/sys", "sysfs")
        mount("tmpfs", TOP, "tmpfs")
        for controller in ("freezer", "pids"):
            (TOP / controller).mkdir()
            mount("cgroup", TOP / controller, "cgroup", 0, controller)
    except OSError as error:
        raise Trouble(f"no control groups here, and none can be mounted: {error}") from None
