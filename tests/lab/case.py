"""The base of the tests: two nodes with ubfd on both, and people on them."""

import argparse
import collections
import os
import pathlib
import shutil
import sys
import unittest

from .node import Node, join, join_by_switch
from .person import Person, wait_until  # noqa: F401
from .tree import FOLDER, Trouble, add_users, end_with, reachable, run_in_private_tree
from .ubfd import Ubfd, write_key

USERS = {"alice": 63001, "bob": 63002, "carol": 63003, "service": 63004, "monitor": 63005}
PROJ, COMMON = 63010, 63011  # groups
GROUPS = {"proj": (PROJ, ["alice", "bob"]), "common": (COMMON, ["alice", "bob", "carol"])}

# node1 and node2, joined by eth0 at both
ADDRESSES = [("10.77.0.1/24", "10.77.0.2/24"), ("fd77::1/64", "fd77::2/64")]
PEERS = ["10.77.0.0/24", "fd77::/64"]
V4, V6 = "10.77.0.2", "fd77::2"  # node2's addresses
WILDCARD = {"v4": "0.0.0.0", "v6": "::"}

REFUSED = {"v4": "EHOSTUNREACH", "v6": "EHOSTUNREACH"}  # a denial, as its TCP client sees it


def refused(protocol, family):
    """The same for either protocol. A connected UDP socket gets no error for IPv6's "address unreachable", so UDP over
    IPv6 is refused with another code."""
    return "EACCES" if (protocol, family) == ("udp", "v6") else REFUSED[family]


CLOSED = "ECONNREFUSED"

ELSEWHERE = "in a guest only: "

build = None  # the build tree
over_fabric = False  # whether eth0 is an interface of a fabric
recognise = False  # whether the kernel may recognise connections; most tests need ubfd to see them all


def in_guest():
    """Whether this runs in a guest of tests/vm/boot."""
    return "UBF_GUEST" in os.environ


def is_sanitized():
    """Whether ubfd was built with a sanitizer, which needs memory of its own."""
    public = pathlib.Path(build, "CMakeCache.txt").read_text(encoding="utf-8")
    return "UBF_SANITIZE:STRING=\n" not in public


class Way(collections.namedtuple("Way", "protocol family address across")):
    """A flow's way to node2: its protocol, the address, and whether it comes across from node1."""

    @property
    def refused(self):
        return refused(self.protocol, self.family)

    def __str__(self):
        return f"{self.protocol} {self.address} {'across' if self.across else 'same node'}"


WAYS = [
    Way(protocol, family, address, across)
    for protocol in ("tcp", "udp")
    for family, address, across in (("v4", V4, True), ("v6", V6, True), ("v4", "127.0.0.1", False),
                                    ("v6", "::1", False), ("v4", V4, False), ("v6", V6, False))
]


class Counted:
    """The growth of the counters inside `with`."""

    def __init__(self, ubfd):
        self._ubfd = ubfd

    def __enter__(self):
        self._before = self._ubfd.status()
        return self

    def __exit__(self, *_):
        self._after = self._ubfd.status()

    def reasons(self):
        before = self._before["reasons"]
        return {reason: count - before[reason] for reason, count in self._after["reasons"].items()
                if count > before[reason]}

    def __getitem__(self, path):
        """The growth of one counter, like ["ident.rejected.late"]."""
        return self._value(self._after, path) - self._value(self._before, path)

    @staticmethod
    def _value(status, path):
        for key in path.split("."):
            status = status.get(key, {}) if isinstance(status, dict) else status
        return status or 0


class Case(unittest.TestCase):
    """People on nodes, and ubfd."""

    settings = {}  # of all daemons, beside the peers' ranges
    recognise = property(lambda self: recognise)
    good_ends = (0, -9)  # exit statuses of a daemon: stopped, or killed by the test
    longMessage = True

    def setUp(self):
        for file in FOLDER.iterdir():  # from the test before, if a process runs several
            if file.is_dir():
                shutil.rmtree(file)
            elif file.name not in ("passwd", "group", "hosts", "nsswitch.conf", "subuid"):
                file.unlink()
        add_users(USERS, GROUPS)
        self._people = []

    def start_ubfd(self, node, settings=None, **options):
        settings = {"peers": {"ranges": PEERS}} | (self.settings if settings is None else settings)
        if over_fabric:  # settings for all interfaces apply to the fabric's
            scope = {key: value for key, value in settings.get("scope", {}).items() if key != "interfaces"}
            settings |= {"fabric": scope | settings.get("fabric", {})}
        ubfd = Ubfd(build / "daemon" / "ubfd", node, options.pop("key", self.key), settings, recognise=self.recognise,
                    **options)
        self.addCleanup(self._see_it_end_well, ubfd)
        return ubfd

    def _see_it_end_well(self, ubfd):
        """The test fails if a daemon died by itself, or if a sanitizer reported an error."""
        status = ubfd.process.poll()
        if status is None:
            status = ubfd.stop()
        self.assertIn(status, self.good_ends, ubfd.log())
        self.assertNotIn("ERROR: ", ubfd.log())  # a sanitizer's report

    def leave_it_to_a_guest(self, why):
        """Skips a test that needs a guest's kernel (tests/vm). In a guest it must not be skipped."""
        self.assertFalse(in_guest(), why)
        self.skipTest(ELSEWHERE + why)

    def person(self, user, node, **options):
        person = Person(node, user, **options)
        self.addCleanup(lambda: person.leave() if person in self._people else None)
        self._people.append(person)
        return person

    def dismiss(self, person):
        self._people.remove(person)
        person.leave()

    def assert_denied(self, ubfd, *words, seconds=3):
        """Waits for a denial in the log with all these words."""
        wait_until(lambda: any(all(word in line for word in words) for line in ubfd.denials()), seconds,
                   f"a denial with {words} in {ubfd.denials()}")

    def assert_alive(self, *daemons):
        for ubfd in daemons:
            self.assertIsNone(ubfd.process.poll(), ubfd.log())
            self.assertTrue(ubfd.status()["ok"])


def tell_of_each_refusal(*nodes):
    """Does the same as systemd/90-ubf.sysctl.conf."""
    for node in nodes:
        node.set_sysctl("net.ipv4.icmp_ratemask", "6160")
        node.set_sysctl("net.ipv6.icmp.ratemask", "0,2-127")


class TwoNodes(Case):
    """self.one and self.two are the nodes, self.ubfd1 and self.ubfd2 their daemons."""

    def setUp(self):
        super().setUp()
        self.one, self.two = Node("node1"), Node("node2")
        self.join_nodes()
        tell_of_each_refusal(self.one, self.two)
        self.key = write_key(FOLDER / "key")
        self.start_daemons()

    def join_nodes(self):
        if not over_fabric:
            join(self.one, self.two, ADDRESSES)
            return
        from . import fabric  # fabric imports this module
        self.addCleanup(fabric.join_by_fabric(self.one, self.two, ADDRESSES, interface="eth0").close)

    def start_daemons(self):
        self.ubfd1 = self.start_ubfd(self.one)
        self.ubfd2 = self.start_ubfd(self.two)


class OnASwitch(Case):
    """self.one, self.two and self.three are the nodes. Each test starts the daemons that it needs."""

    def setUp(self):
        super().setUp()
        self.nodes = [Node(f"node{number}") for number in (1, 2, 3)]
        self.one, self.two, self.three = self.nodes
        self.switch = join_by_switch(self.nodes, ["10.77.0.{}/24", "fd77::{}/64"])
        tell_of_each_refusal(*self.nodes)
        self.key = write_key(FOLDER / "key")


def main(private=True, instead=None):
    """Runs the tests of the calling file, or those on its command line. If `private`, they run in a process and mount
    tree of their own; otherwise they may change this machine. `instead` is called in place of the tests."""
    parser = argparse.ArgumentParser()
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--build", type=pathlib.Path, default=root / "build" / "release")
    parser.add_argument("--fabric", action="store_true", help="join the nodes by a fabric")
    parser.add_argument("--recognise", action="store_true", help="let the kernel recognise one user's connections")
    options, rest = parser.parse_known_args()
    if not private:
        FOLDER.mkdir(exist_ok=True)
        sys.exit(_run(options, rest))
    try:
        sys.exit(run_in_private_tree(lambda: _run(options, rest, instead)))
    except Trouble as trouble:
        end_with(trouble)


def _run(options, arguments, instead=None):
    global build, over_fabric, recognise
    build, over_fabric, recognise = reachable(options.build.resolve()), options.fabric, options.recognise
    if instead:
        return instead()
    program = unittest.main(module="__main__", argv=[sys.argv[0], *arguments], exit=False, verbosity=2)
    if any(not reason.startswith(ELSEWHERE) for _, reason in program.result.skipped):
        return 77  # CTest's status for a skipped test
    return 0 if program.result.wasSuccessful() and program.result.testsRun else 1
