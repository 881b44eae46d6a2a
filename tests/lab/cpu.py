"""Measures CPU time."""

import ctypes
import os
import pathlib
import time

from .tree import Trouble

_libc = ctypes.CDLL(None)


def cpu_seconds(pid):
    """The CPU time of all threads of a process, in nanoseconds; /proc/PID/stat has only ticks."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise Trouble(f"no CPU clock of process {pid}")
    return time.clock_gettime(clock.value)


def busy_seconds():
    """The busy time of all CPUs, whichever process it is charged to. The kernel charges the handshake after a verdict
    to ubfd, and an incoming packet to any running process."""
    user, nice, system, _, _, *interrupts = map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
