#!/usr/bin/python3
"""Set-group-ID programs: their user can't pass on the program's group."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import PROJ, V4, TwoNodes  # noqa: E402

PORT = 9001

# The program's action on the descriptor that its command line names.
CONNECT = """
import socket, sys
assert __import__("os").getegid() != __import__("os").getgid()
sock = socket.socket(fileno=int(sys.argv[1]))
try:
    sock.connect((sys.argv[2], int(sys.argv[3])))
    if sock.type == socket.SOCK_DGRAM:
        sock.send(b"hello")
        sock.settimeout(1)
        sock.recv(100)
    print("connected", flush=True)
except OSError as error:
    print(__import__("errno").errorcode.get(error.errno, "timeout"), flush=True)
"""
HOLD = """
import sys
assert __import__("os").getegid() != __import__("os").getgid()
print("ready", flush=True)
sys.stdin.read()
"""

_programs = {}  # handle -> subprocess, in this process


# --- actions of a person ---

def start(program, script, handle, *arguments):
    """Hands the socket to the program, and closes all other descriptors of it."""
    fd = person._sockets[handle].fileno()  # pylint: disable=protected-access
    process = subprocess.Popen([program, "-I", "-c", script, str(fd), *map(str, arguments)], pass_fds=[fd],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    person._sockets.pop(handle).close()  # pylint: disable=protected-access
    _programs[handle] = process
    return process.stdout.readline().strip()


def end(handle):
    process = _programs.pop(handle)
    process.stdin.close()
    process.wait()
    process.stdout.close()


class Program(TwoNodes):
    """carol is not in the group, but the program is, whichever user starts it."""

    def setUp(self):
        super().setUp()
        folder = tempfile.mkdtemp(dir="/var/tmp")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        self.program = shutil.copy(os.path.realpath(sys.executable), f"{folder}/program")
        os.chown(self.program, 0, PROJ)
        os.chmod(self.program, 0o2755)

    def assert_lends_nothing_to_connections(self):
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two, group=PROJ).listen(protocol, "0.0.0.0", PORT)
            self.assertEqual(self.person("bob", self.one).connect(protocol, V4, PORT), "connected")
            for node in (self.one, self.two):
                for _ in range(2):  # the second time, ubfd may find the program among recent ones
                    with self.subTest(f"{protocol} {node.name}"):
                        carol = self.person("carol", node)
                        handle = carol.do(person.bound, protocol, "0.0.0.0", 0)
                        self.assertEqual(carol.do(start, self.program, CONNECT, handle, V4, PORT), "EHOSTUNREACH")
                        carol.do(end, handle)
                        self.dismiss(carol)

    def assert_lends_nothing_to_listeners(self):
        for protocol in ("tcp", "udp"):
            for node in (self.one, self.two):
                with self.subTest(f"{protocol} {node.name}"):
                    carol = self.person("carol", self.two)
                    handle = carol.listen(protocol, "0.0.0.0", PORT, answer=False)
                    self.assertEqual(carol.do(start, self.program, HOLD, handle), "ready")
                    bob = self.person("bob", node)
                    theirs = bob.do(person.send_to, protocol, V4, PORT)
                    self.assertEqual(bob.do(person.outcome, theirs, timeout=2), "EHOSTUNREACH")
                    carol.do(end, handle)
                    for one in (carol, bob):
                        self.dismiss(one)


class SetGroupId(Program):
    settings = {"owners": {"bpf": False}}

    def test_lends_its_group_to_no_connection_that_it_inherited(self):
        self.assert_lends_nothing_to_connections()

    def test_lends_its_group_to_no_listener_that_it_inherited(self):
        self.assert_lends_nothing_to_listeners()

    def test_leaves_its_user_the_groups_that_are_the_users_own(self):
        for group in (PROJ, 64000):
            self.person("alice", self.two, group=group).listen("tcp", "0.0.0.0", PORT)
            bob = self.person("bob", self.one, groups=[64000])
            handle = bob.do(person.bound, "tcp", "0.0.0.0", 0)
            self.assertEqual(bob.do(start, self.program, CONNECT, handle, V4, PORT), "connected", group)
            bob.do(end, handle)
            self.dismiss(self._people[0])


class Recorded(Program):
    """Tests the kernel's records of owners, if the kernel makes them. The guest's kernel in tests/vm does."""

    def test_with_records_its_connections_get_nothing_either(self):
        self.assert_lends_nothing_to_connections()


if __name__ == "__main__":
    case.main()
