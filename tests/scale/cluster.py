"""Many nodes on one switch, and on each one process that plays all ranks of a job."""

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
    """Of a node, from 1 on."""
    return f"10.77.0.{number}"


@contextlib.contextmanager
def room_for_neighbours(count):
    """The whole machine has one table, with room for 1,024; its first network namespace shows how much."""
    before = {file: file.read_text() for file in NEIGHBOURS if file.exists()}
    try:
        for factor, (file, most) in enumerate(before.items(), 1):
            file.write_text(str(max(int(most), factor * count)))
        yield
    finally:
        for file, most in before.items():
            file.write_text(most)


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


def settings_of(rule, networks, until):
    """Of one daemon; until: an ExitStack, whose end is that of its state."""
    settings = {"peers": {"ranges": networks}} | rule.settings
    if "labels" in settings:
        state = until.enter_context(tempfile.TemporaryDirectory(dir="/run"))
        settings["labels"] = settings["labels"] | {"state_directory": state}
    return settings


class Cluster(contextlib.ExitStack):
    """Nodes, without daemons at first, and how ranks of a rule start on them."""

    def __init__(self, count):
        super().__init__()
        self.count = count
        self.enter_context(room_for_neighbours(2 * count * count))
        self.nodes = [Node(f"node{number}") for number in range(1, count + 1)]
        join_by_switch(self.nodes, [address("{}") + "/16"])
        case.tell_of_each_refusal(*self.nodes)

    def settings(self, rule):
        """Of one daemon."""
        return settings_of(rule, [NETWORK], self)

    def play(self, until, rule, number, user, *words, group=None):
        """until: an ExitStack, whose end is theirs."""
        ranks = Ranks(self.nodes[number - 1], user, *words, group=group)
        until.callback(ranks.end)
        rule.place(ranks.pid, user, number)
        return ranks

    def serve(self, until, rule):
        """The listener's ranks, on every node."""
        for number in range(1, self.count + 1):
            self.play(until, rule, number, rule.listener, "serve", PORT, group=rule.group).wait_until_ready()

    def connect(self, until, rule, wanted, meanwhile=lambda: None):
        """wanted: by user, which nodes connect to which. All at once; what became of it, by user."""
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
