"""Background loads on the nodes."""

import contextlib

from lane import USER, end, start_ready

# Descriptions of the loads, with the sizes of the run.
LOADS = {
    "idle": "an idle node",
    "crowd": "{processes:,} processes × {descriptors} descriptors",
    "sockets": "{sockets:,} established sockets",
}


@contextlib.contextmanager
def loaded(load, lanes, programs, options):
    """Puts the load on every node of every lane inside `with`."""
    processes = []
    try:
        if load == "crowd":  # processes belong to the whole machine
            processes.append(start_ready(lanes[0].a, USER, programs["crowd"], options.processes, options.descriptors))
        elif load == "sockets":
            for lane in lanes:
                processes += lane.hold(options.sockets)
        yield
    finally:
        end(processes)
