"""Many nodes on one switch, a real ubfd on each, and one process a node that plays all ranks of a job."""

import json
import subprocess

from lab import case
from lab.node import Node, join_by_switch

PORT = 9001
NETWORK = "10.77.0.0/16"


def address(number):
    """Of a node, from 1 on."""
    return f"10.77.0.{number}"


def make_nodes(count):
    nodes = [Node(f"node{number}") for number in range(1, count + 1)]
    join_by_switch(nodes, [address("{}") + "/16"])
    case.tell_of_each_refusal(*nodes)
    return nodes


# --- who connects to whom: pairs of node numbers ---

def all_to_all(count, ranks):
    """Each rank to each rank of all other nodes."""
    return [(one, other) for one in range(1, count + 1) for other in range(1, count + 1) if one != other
            for _ in range(ranks * ranks)]


def all_to_one(count, ranks):
    return [(one, 1) for one in range(2, count + 1) for _ in range(ranks)]


def tree(count, ranks, fan_out=4):
    """Each to its parent, as launchers' daemons do."""
    return [(child, (child - 2) // fan_out + 1) for child in range(2, count + 1) for _ in range(ranks)]


def ring(count, ranks):
    return [(one, one % count + 1) for one in range(1, count + 1) for _ in range(ranks)]


PATTERNS = (all_to_all, all_to_one, tree, ring)


class Ranks:
    """A process that plays them, of a user on a node."""

    def __init__(self, node, user, *words, group=None):
        self._process = node.start(case.build / "tests" / "scale" / "ranks", *words, user=user, group=group,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @property
    def pid(self):
        return self._process.pid

    def wait_until_ready(self):
        assert self._process.stdout.readline() == "ready\n"
        return self

    def prepare(self, lines):
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()

    def go(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self):
        """Of what it did; its connections stay."""
        return json.loads(self._process.stdout.readline())

    def end(self):
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def together(results):
    """Of many such processes, as if one had done it all; p50 and p99 are the largest."""
    ends = {}
    for result in results:
        for how, count in result["ends"].items():
            ends[how] = ends.get(how, 0) + count
    largest = {key: max(result[key] for result in results) for key in ("seconds", "p50", "p99", "max")}
    return {"ends": ends, "over_1s": sum(result["over_1s"] for result in results)} | largest
