"""The rounds. Each round measures every lane under every load, in another order than the last one, so that disturbances
on this machine affect all lanes."""

import json
import sys
import time

import lab
from cases import CASES, PARTS
from lane import ADDRESS, KINDS, TCP, USER, Lane
from loads import loaded

STORMS = 10  # the memory is read after each


def measure(programs, options):
    """Measures everything, and returns a document for JSON."""
    key = lab.FOLDER / "key"
    lab.write_key(key)
    lab.add_users({"bench": USER}, {"benchers": (60010, ["bench"])})
    lanes = [Lane(kind, programs, key) for kind in KINDS]
    rounds = [_round(number, lanes, programs, options) for number in range(options.rounds)]
    ubfd = next(kind for kind in KINDS if kind.name == "ubfd")
    memory = _memory(Lane(ubfd, programs, key, "million"), options)
    return {"rounds": rounds, "memory": memory}


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _turned(things, number):
    turn = number % len(things)
    return things[turn:] + things[:turn]


def _round(number, lanes, programs, options):
    """load -> {"cases": case -> lane -> figures, "lookups": ..., "methods": ...}"""
    results = {}
    for load in _turned(options.loads, number):
        with loaded(load, lanes, programs, options):
            chosen = [lane for lane in lanes if load == "idle" or lane.name not in PARTS]
            cases = {case.name: _lanes_of(case, chosen, number + index, options)
                     for index, case in enumerate(CASES) if load == "idle" or not case.idle}
            # No firewall guards this lane, so only the lookup itself is measured.
            lookups = json.loads(lanes[0].b.run(programs["lookup"], USER))
        results[load] = {"cases": cases} | lookups
        say(f"round {number + 1} of {options.rounds}: {load}")
    return results


def _lanes_of(case, lanes, number, options):
    figures = {}
    for lane in _turned([lane for lane in lanes if lane.name in case.lanes], number):
        with lane.guarded(case.across):
            figures[lane.name] = case.measure(lane, options)
    return figures


def _memory(lane, options):
    """The memory of a new ubfd: a point after every tenth of its verdicts."""
    points = []
    with lane.guarded():
        for number in range(STORMS + 1):
            if number > 0:
                lane.storm(lane.a, USER, "connect", "tcp", ADDRESS, TCP, options.verdicts // STORMS, 64)
            points.append({"verdicts": sum(lane.daemons[1].status()["reasons"].values()),
                           "nodes": [_memory_of(ubfd.process.pid) for ubfd in lane.daemons]})
            say(f"memory after {points[-1]['verdicts']} verdicts: {points[-1]['nodes']}")
    return points


def _memory_of(pid):
    """KiB, from /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        fields = dict(line.split(":", 1) for line in status)
    return {"resident": int(fields["VmRSS"].split()[0]), "locked": int(fields["VmLck"].split()[0])}
