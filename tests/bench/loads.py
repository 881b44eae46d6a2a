"""What else is on the nodes meanwhile."""

import contextlib

from lane import USER, end, start_ready

# Beside their names: what they are, in the sizes of the run.
LOADS = {
    "idle": "an idle node",
    "crowd": "{processes:,} processes × {descriptors} descriptors",
    "sockets": "{sockets:,} established sockets",
}


@contextlib.contextmanager
def loaded(load, lanes, programs, options):
    """Every lane, and every node of it, has the load inside `with`."""
    processes = []
    try:
        if load == "crowd":  # processes are the whole machine's
            processes.append(start_ready(lanes[0].a, USER, programs["crowd"], options.processes, options.descriptors))
        elif load == "sockets":
            for lane in lanes:
                processes += lane.hold(options.sockets)
        yield
    finally:
        end(processes)
