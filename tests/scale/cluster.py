"""Many nodes on one switch. On each node, one process plays all ranks of a job."""

import contextlib
import json
import pathlib
import subprocess
import tempfile

from lab import case
from lab.node import Node, join_by_switch

PORT = 9001
NETWORK = "10.77.0.0/16"
NEIGHBOURS = [pathlib.Path(f"/proc/sys/net/ipv4/neigh/default/gc_thresh{number}") for number in (1, 2, 3)]


def address(number):
    """The address of a node, counted from 1."""
    return f"10.77.0.{number}"


@contextlib.contextmanager
def room_for_neighbours(count):
    """The machine's neighbour table has room for 1,024 entries, for all nodes together. The first network namespace
    sets it."""
    before = {file: file.read_text() for file in NEIGHBOURS if file.exists()}
    try:
        for factor, (file, most) in enumerate(before.items(), 1):
            file.write_text(str(max(int(most), factor * count)))
        yield
    finally:
        for file, most in before.items():
            file.write_text(most)


# --- patterns of connections: pairs of node numbers ---

def all_to_all(count, ranks):
    """Each rank connects to each rank of all other nodes."""
    return [(one, other) for one in range(1, count + 1) for other in range(1, count + 1) if one != other
            for _ in range(ranks * ranks)]


def all_to_one(count, ranks):
    return [(one, 1) for one in range(2, count + 1) for _ in range(ranks)]


def tree(count, ranks, fan_out=4):
    """Each node connects to its parent, like the daemons of a launcher."""
    return [(child, (child - 2) // fan_out + 1) for child in range(2, count + 1) for _ in range(ranks)]


def ring(count, ranks):
    return [(one, one % count + 1) for one in range(1, count + 1) for _ in range(ranks)]


PATTERNS = (all_to_all, all_to_one, tree, ring)


class Ranks:
    """A process of a user's that plays all ranks on a node."""

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
        """Returns the process's result. Its connections stay."""
        return json.loads(self._process.stdout.readline())

    def end(self):
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def together(results):
    """Sums the results of many processes. p50 and p99 are the largest."""
    ends = {}
    for result in results:
        for how, count in result["ends"].items():
            ends[how] = ends.get(how, 0) + count
    largest = {key: max(result[key] for result in results) for key in ("seconds", "p50", "p99", "max")}
    return {"ends": ends, "over_1s": sum(result["over_1s"] for result in results)} | largest


def settings_of(rule, networks, until):
    """The settings of one daemon. until: an ExitStack that removes the daemon's state at its end."""
    settings = {"peers": {"ranges": networks}} | rule.settings
    if "labels" in settings:
        state = until.enter_context(tempfile.TemporaryDirectory(dir="/run"))
        settings["labels"] = settings["labels"] | {"state_directory": state}
    return settings


class Cluster(contextlib.ExitStack):
    """Nodes, at first without daemons. Ranks start on them by a rule."""

    def __init__(self, count):
        super().__init__()
        self.count = count
        self.enter_context(room_for_neighbours(2 * count * count))
        self.nodes = [Node(f"node{number}") for number in range(1, count + 1)]
        join_by_switch(self.nodes, [address("{}") + "/16"])
        case.tell_of_each_refusal(*self.nodes)

    def settings(self, rule):
        """The settings of one daemon."""
        return settings_of(rule, [NETWORK], self)

    def play(self, until, rule, number, user, *words, group=None):
        """until: an ExitStack that ends the ranks."""
        ranks = Ranks(self.nodes[number - 1], user, *words, group=group)
        until.callback(ranks.end)
        rule.place(ranks.pid, user, number)
        return ranks

    def serve(self, until, rule):
        """Starts the listener's ranks on every node."""
        for number in range(1, self.count + 1):
            self.play(until, rule, number, rule.listener, "serve", PORT, group=rule.group).wait_until_ready()

    def connect(self, until, rule, wanted, meanwhile=lambda: None):
        """wanted: for each user, the pairs of nodes to connect. Starts all at once, and returns the results by user."""
        players = {}
        for user, pairs in wanted.items():
            for number in range(1, self.count + 1):
                lines = [f"{address(one)} {address(other)} {PORT}" for one, other in pairs if one == number]
                if lines:
                    players[user, number] = self.play(until, rule, number, user, "connect")
                    players[user, number].prepare(lines)
        for ranks in players.values():
            ranks.go()
        meanwhile()
        return {user: together([ranks.result() for (one, _), ranks in players.items() if one == user])
                for user in wanted}
