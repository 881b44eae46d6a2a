"""How much of the CPU something took."""

import ctypes
import os
import pathlib
import time

from .tree import Trouble

_libc = ctypes.CDLL(None)


def cpu_seconds(pid):
    """All threads of a process, to the nanosecond, where /proc/PID/stat counts ticks."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise Trouble(f"no CPU clock of process {pid}")
    return time.clock_gettime(clock.value)


def busy_seconds():
    """Of all CPUs, whoever has to bear it: the handshake that a verdict sets off counts as its giver's, packets that come
    in count as anybody's who runs."""
    user, nice, system, _, _, *interrupts = map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
