"""For tests of ubfd as it is installed, under systemd: commands of the guest, which is node2, and a node1 beside it."""

import contextlib
import datetime
import pathlib
import socket
import subprocess
import threading
import time

from lab import case, load
from lab.case import ADDRESSES, PEERS, V4, Case, wait_until
from lab.node import Home, Node, join
from lab.ubfd import Ubfd

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = 9001
EX_UNAVAILABLE, EX_CONFIG = 69, 78  # sysexits.h
INSTALLED, CONFIG = pathlib.Path("/usr/local/sbin/ubfd"), pathlib.Path("/etc/ubf/ubfd.toml")
LAST_GOOD = pathlib.Path("/var/lib/ubf/last-good.toml")


def run(*words, status=0):
    process = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert process.returncode == status, f"{words}: {process.returncode}: {process.stdout}{process.stderr}"
    return process.stdout


def assert_logged(text, *selection):
    """journald writes a line with some delay."""
    def journal():
        return run("journalctl", "-b", *selection)

    wait_until(lambda: text in journal(), 10, lambda: f"'{text}' in {journal()}")


def property_of(unit, name):
    return run("systemctl", "show", "-P", name, unit).strip()


def pid():
    return int(property_of("ubfd", "MainPID"))


def is_ready():
    return (property_of("ubfd", "ActiveState"), property_of("ubfd", "SubState")) == ("active", "running")


def table():
    """The table's text, or ""."""
    return subprocess.run(["nft", "list", "table", "inet", "ubf"], capture_output=True, text=True, check=False).stdout


def journal(lines=15):
    """ubfd's last lines, each short enough for a CI's log."""
    return run("journalctl", "-b", "-t", "ubfd", "-t", "systemd", "-o", "short-precise", "--no-hostname", "-n", lines)


def read_meanwhile(address, port, seconds):
    """Connects and reads, over and over. Returns the times of the answers."""
    end, times = time.monotonic() + seconds, []
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=0.5) as sock:
            sock.sendall(b"hello")
            if sock.recv(100) == b"hello":
                times.append(datetime.datetime.now().time().isoformat())
    return times


class Systemd(Case):
    two, one, ubfd1 = None, None, None  # the same for all tests

    @classmethod
    def setUpClass(cls):
        if Systemd.two:
            return
        case.add_users(case.USERS, case.GROUPS, private=False)
        Systemd.two, Systemd.one = Home("node2"), Node("node1")
        join(cls.one, cls.two, ADDRESSES)
        Systemd.ubfd1 = Ubfd(case.build / "daemon" / "ubfd", cls.one, pathlib.Path("/etc/ubf/ident.key"),
                             {"peers": {"ranges": PEERS}})

    def setUp(self):
        self._people = []
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT, backlog=1024)
        self.alice, self.bob = (self.person(user, self.one) for user in ("alice", "bob"))
        wait_until(is_ready, 30, "ubfd to be ready")

    def assert_judges(self):
        self.assertEqual(self.alice.connect("tcp", V4, PORT, timeout=10), "connected")
        self.assertEqual(self.bob.connect("tcp", V4, PORT, timeout=10), "EHOSTUNREACH")

    def connect_meanwhile(self, act, seconds):
        """Connects 200 times a second. Returns the outcomes."""
        thread = threading.Thread(target=act)
        thread.start()
        seen = self.alice.do(load.connect_steadily, V4, PORT, 200, seconds)
        thread.join()
        return seen
