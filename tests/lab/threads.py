"""The threads of a daemon, and ways to stop one of them, or to have the kernel refuse what it asks."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import time

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


@contextlib.contextmanager
def refused_by_kernel(thread, system_call, error):
    """Meanwhile this system call of the thread fails with this error. Yields a function that waits until one has."""
    with tempfile.NamedTemporaryFile("r") as log:
        tracer = subprocess.Popen(["strace", "-p", str(thread), "-o", log.name, "-e", f"trace={system_call}", "-e",
                                   f"inject={system_call}:error={error}"], stderr=subprocess.PIPE, text=True)
        try:
            line = tracer.stderr.readline()
            assert "attached" in line, line

            def wait(seconds=10):
                end = time.monotonic() + seconds
                while "INJECTED" not in pathlib.Path(log.name).read_text():
                    assert time.monotonic() < end, f"thread {thread} made no call of {system_call}"
                    time.sleep(0.01)

            yield wait
        finally:
            tracer.terminate()
            tracer.wait()
            tracer.stderr.close()
