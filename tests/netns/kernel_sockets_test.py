#!/usr/bin/python3
"""Sockets of the kernel itself, and programs that pass for it."""

import contextlib
import os
import pathlib
import resource
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import V4, Counted, TwoNodes  # noqa: E402
from lab.tree import PR_SET_PDEATHSIG, call  # noqa: E402

PORT = 9001


def listen_in_a_thread(address, port):
    """A UDP socket that only a thread with a table of descriptors of its own has."""
    ready = threading.Event()

    def run():
        clone_files = 0x400
        call("unshare", clone_files)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, port))
            ready.set()
            threading.Event().wait()

    threading.Thread(target=run, daemon=True).start()
    ready.wait()


def hoard_descriptors(processes):
    """Takes up to 20,000 descriptors in each of these processes. Returns their number."""
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 20_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    file, count = os.open("/dev/null", os.O_RDONLY), 0
    with contextlib.suppress(OSError):
        while True:
            os.dup(file)
            count += 1
    for _ in range(processes - 1):
        if os.fork() == 0:
            call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            while True:
                signal.pause()
    return count * processes


class Kernels(TwoNodes):
    """Sockets of the kernel itself: here the UDP port of a VXLAN tunnel. An address outside stands for a file server
    that calls back."""

    settings = {"peers": {"ranges": ["10.77.0.2/32"]}}

    def start_daemons(self):
        self.ubfd2 = self.start_ubfd(self.two)  # a file server runs no ubfd

    def setUp(self):
        super().setUp()
        self.two.run("ip", "link", "add", "vx0", "type", "vxlan", "id", "5", "dstport", "4789", "dev", "lo")
        self.two.run("ip", "link", "set", "vx0", "up")

    def test_are_exempt_by_default(self):
        with Counted(self.ubfd2) as counted:
            self.person("bob", self.two).do(person.send_to, "udp", V4, 4789)
            self.person("bob", self.one).do(person.send_to, "udp", V4, 4789)
            case.wait_until(lambda: self.ubfd2.status()["reasons"]["exempt-listener"] == 2)
        self.assertEqual(counted.reasons(), {"exempt-listener": 2})

    def test_are_gated_where_the_site_says_so(self):
        self.ubfd2.configure({**self.settings, "policy": {"kernel": "deny"}})
        self.ubfd2.reload()
        self.assertEqual(self.person("bob", self.two).connect("udp", V4, 4789), "EHOSTUNREACH")
        self.assert_denied(self.ubfd2, "reason=different-user", "listener=kernel")

    def test_a_program_of_root_is_no_kernel(self):
        self.person("root", self.two).listen("udp", V4, PORT)
        self.assertEqual(self.person("bob", self.two).connect("udp", V4, PORT), "EHOSTUNREACH")
        self.assertEqual(self.person("bob", self.one).connect("udp", V4, PORT), "EHOSTUNREACH")

    def test_a_thread_with_descriptors_of_its_own_is_no_kernel(self):
        """/proc/PID/fd has those of the main thread alone."""
        self.need_records()
        self.person("root", self.two).do(listen_in_a_thread, V4, PORT)
        self.assertEqual(self.person("bob", self.two).connect("udp", V4, PORT), "EHOSTUNREACH")
        self.assertEqual(self.person("bob", self.one).connect("udp", V4, PORT), "EHOSTUNREACH")

    def test_are_found_beside_a_user_who_has_very_many_descriptors(self):
        """/proc shows one in two microseconds, the kernel's own list one in a tenth."""
        self.need_records()
        # A guest has 4,096 for a process, and takes ten times as long for each.
        self.assertGreater(self.person("alice", self.two).do(hoard_descriptors, 30), 100_000)
        for count, node in ((1, self.two), (2, self.one)):
            bob = self.person("bob", node)

            def is_let_in(count=count, bob=bob):  # on a busy machine not at the first try
                bob.do(person.send_to, "udp", V4, 4789)
                time.sleep(0.9)
                return self.ubfd2.status()["reasons"]["exempt-listener"] >= count
            case.wait_until(is_let_in, 20)

    def need_records(self):
        if not self.ubfd2.status()["owner_records"].startswith("in use"):
            self.leave_it_to_a_guest("this kernel takes no BPF program")


if __name__ == "__main__":
    case.main()
