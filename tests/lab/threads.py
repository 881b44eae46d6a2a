"""The threads of a daemon, and a way to stop one of them."""

import contextlib
import os
import pathlib

from .tree import call


def threads(process, name):
    """The threads with this name."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task").iterdir()
    found = [int(task.name) for task in tasks if (task / "comm").read_text().strip() == name]
    assert found, f"no thread {name}"
    return found


@contextlib.contextmanager
def stopped(thread):
    """Stops one thread of another process meanwhile (ptrace(2))."""
    seize, interrupt, detach = 0x4206, 0x4207, 17  # linux/ptrace.h
    call("ptrace", seize, thread, 0, 0)
    call("ptrace", interrupt, thread, 0, 0)
    os.waitpid(thread, 0x40000000)  # __WALL
    try:
        yield
    finally:
        call("ptrace", detach, thread, 0, 0)
