"""How much of the CPU something took."""

import ctypes
import time

from .tree import Trouble

_libc = ctypes.CDLL(None)


def cpu_seconds(pid):
    """All threads of a process, to the nanosecond, where /proc/PID/stat counts ticks."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise Trouble(f"no CPU clock of process {pid}")
    return time.clock_gettime(clock.value)
