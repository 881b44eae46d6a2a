"""The control groups of this machine: version 1 with its freezer, which a Slurm takes, or version 2 alone."""

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
