"""The control groups of this machine: version 1 with its freezer, which a Slurm takes, or version 2 alone."""

import contextlib
import fcntl
import os
import pathlib

from .tree import Trouble, mount

TOP = pathlib.Path("/sys/fs/cgroup")


def hierarchy():
    """Where a process is put into a group, and whether that is version 1. Mounts them, in this tree, where nobody
    has."""
    if not os.access(TOP / "freezer", os.W_OK) and not (TOP / "cgroup.controllers").exists():
        _mount_v1()
    is_v1 = (TOP / "freezer").exists()
    return (TOP / "freezer" if is_v1 else TOP), is_v1


def lock():
    """Cgroups are the whole machine's, whichever tree one is in: whoever makes groups of Slurm's names holds this
    meanwhile. (The lock of the hierarchy itself is Slurm's own.) Returns a descriptor; closing it lets go."""
    hierarchy()
    held = os.open(TOP, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def job_path(user, job, step="0"):
    """Slurmd, of a node with several of them, keeps the processes of a job there; user: a uid."""
    if hierarchy()[1]:
        return f"slurm_test/uid_{user}/job_{job}/step_{step}"
    return f"system.slice/test_slurmstepd.scope/job_{job}/step_{step}/user/task_0"


class JobCgroups:
    """Those that slurmd would make, until close()."""

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
