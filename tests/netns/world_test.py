#!/usr/bin/python3
"""The world around ubfd fails: directories, disks, descriptors, addresses. Work that doesn't need them goes on, and the
rest recovers."""

import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import PROJ, V4, TwoNodes, wait_until  # noqa: E402
from lab.supervisor import Supervised  # noqa: E402
from lab.user_databases import look_names_up_in, offer_user_databases  # noqa: E402

PORT, SHARED = 9001, 9002


class World(TwoNodes):
    def setUp(self):
        super().setUp()
        self.server = self.person("alice", self.two)
        self.server.listen("tcp", "0.0.0.0", PORT, backlog=1024)
        self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", SHARED)
        self.alice, self.bob, self.carol = (self.person(user, self.one) for user in ("alice", "bob", "carol"))

    def assert_judges(self):
        self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assertEqual(self.bob.connect("tcp", V4, SHARED), "connected")


class Databases(World):
    def start_daemons(self):
        offer_user_databases(self)
        super().start_daemons()


class Directory(Databases):
    """The user database needs half a minute for an answer, or is missing."""

    source = "slow"

    def test_holds_nobody_up(self):
        look_names_up_in(self.source)  # all users are logged in already
        self.assertEqual(self.alice.connect("tcp", V4, PORT, timeout=0.9), "connected")
        self.assertEqual(self.carol.connect("tcp", V4, PORT, timeout=0.9), "EHOSTUNREACH")
        # The kernel knows the groups of the process.
        self.assertEqual(self.bob.connect("tcp", V4, SHARED, timeout=2), "connected")
        self.assert_denied(self.ubfd2, "connector=?(63003)", "listener=?(63001)")
        self.assertEqual(self.ubfd2.stop(), 0)  # which waits ten seconds at most


class DistantDirectory(Databases):
    """The user database needs a fifth of a second for each user."""

    def test_gives_its_names_to_the_log(self):
        look_names_up_in("distant files")
        self.assertEqual(self.carol.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assert_denied(self.ubfd2, "connector=carol(63003)", "listener=alice(63001)")

    def test_holds_no_line_up_for_long(self):
        """Ninety users have to be looked up first, which takes nine seconds."""
        look_names_up_in("distant files")
        flood = ("import os, socket, time\n"
                 "clients = []\n"
                 "for uid in range(70000, 70090):\n"
                 "    os.setresuid(uid, uid, 0)\n"
                 "    clients.append(socket.socket())\n"
                 "    clients[-1].setblocking(False)\n"
                 f"    clients[-1].connect_ex(('127.0.0.1', {PORT}))\n"
                 "    os.setresuid(0, 0, 0)\n"
                 "time.sleep(2)\n")
        self.assertEqual(self.two.start("/usr/bin/python3", "-c", flood).wait(timeout=30), 0)
        start = time.monotonic()
        self.assertEqual(self.ubfd2.stop(), 0)
        self.assertLess(time.monotonic() - start, 4)
        self.assertGreater(len(self.ubfd2.denials()), 10)


class SlowNames(Supervised, World):
    """The user database hangs, and the configuration has names."""

    settings = {"policy": {"exempt_listeners": ["service"]}}

    def start_daemons(self):
        offer_user_databases(self)
        super().start_daemons()
        for ubfd in (self.ubfd1, self.ubfd2):  # a thread of theirs may wait for the database still
            self.addCleanup(ubfd.kill)

    def signs(self):
        return sum("WATCHDOG" in fields for fields in self.supervisor.said)

    def test_hold_no_reload_up(self):
        look_names_up_in("slow")
        self.ubfd2.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        before = self.signs()
        for _ in range(5):
            start = time.monotonic()
            self.assertTrue(self.ubfd2.status()["ok"])
            self.assertLess(time.monotonic() - start, 1)
            time.sleep(1)
        self.assertGreater(self.signs(), before)
        look_names_up_in("files")
        self.ubfd2.process.send_signal(signal.SIGHUP)  # it is read again, once the database has answered
        self.ubfd2.wait_for_log("reloaded ", seconds=40)
        self.assertNotIn("not reloaded", self.ubfd2.log())

    def test_hold_no_exception_up(self):
        """ubfctl waits for them, and ubfd does not."""
        look_names_up_in("slow")
        asking = self.two.start(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, "allow", "--for", "1h",
                                "alice>bob tcp/9001")
        time.sleep(1)
        start = time.monotonic()
        self.assertTrue(self.ubfd2.status()["ok"])
        self.assertLess(time.monotonic() - start, 1)
        asking.kill()
        asking.communicate()

    def test_hold_no_start_up(self):
        self.ubfd2.stop()
        look_names_up_in("slow")
        start = time.monotonic()
        self.ubfd2.start()
        self.assertLess(time.monotonic() - start, 25)
        self.ubfd2.wait_for_log("the user database did not say in time who the user 'service' is; until then")
        look_names_up_in("files")
        service = self.person("service", self.two)
        service.listen("tcp", "0.0.0.0", 9003)
        wait_until(lambda: self.bob.connect("tcp", V4, 9003) == "connected", 90, "another question to the database")


class NoDirectory(Directory):
    source = "nothing"


class Resources(World):
    def test_a_disk_that_is_full_costs_lines_and_nothing_else(self):
        self.ubfd2.stop()
        ubfd = self.start_ubfd(self.two, ready=lambda: wait_until(self.is_up, 10), stderr="/dev/full")
        self.ubfd2 = ubfd
        self.assert_judges()
        wait_until(lambda: ubfd.status()["log"]["lost"] > 0)

    def is_up(self):
        try:
            return self.two.run(case.build / "daemon" / "ubfctl", "--socket", case.FOLDER / "node2.sock", "status")
        except case.Trouble:
            return False

    def test_addresses_come_and_go(self):
        for _ in range(3):
            self.two.run("ip", "addr", "add", "10.77.0.5/24", "dev", "eth0")
            self.assertEqual(self.alice.connect("tcp", "10.77.0.5", PORT), "connected")
            self.assertEqual(self.bob.connect("tcp", "10.77.0.5", PORT), "EHOSTUNREACH")
            self.two.run("ip", "addr", "del", "10.77.0.5/24", "dev", "eth0")
            self.assert_judges()
        self.one.run("ip", "addr", "add", "10.77.0.6/24", "dev", "eth0")
        self.assertEqual(self.alice.connect("tcp", V4, PORT, bind=("10.77.0.6", 0)), "connected")
        self.assertEqual(self.bob.connect("tcp", V4, PORT, bind=("10.77.0.6", 0)), "EHOSTUNREACH")

    def test_without_ipv6(self):
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.stop()
        for node in (self.one, self.two):
            node.set_sysctl("net.ipv6.conf.all.disable_ipv6", "1")
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.start()
        self.assert_judges()


class Searching(World):
    settings = {"owners": {"bpf": False}}

    def test_without_descriptors_the_uid_still_decides(self):
        self.assert_judges()
        pid = str(self.ubfd2.process.pid)
        used = len(os.listdir(f"/proc/{pid}/fd"))
        limit = self.two.run("prlimit", "--pid", pid, "--nofile", "--raw", "--noheadings", "-o", "SOFT").strip()
        self.two.run("prlimit", "--pid", pid, f"--nofile={used}:")
        for number in range(3):
            self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")
            self.assertEqual(self.carol.connect("tcp", V4, PORT), "EHOSTUNREACH")
            self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", 9100 + number)
            # A group that ubfd can't look up allows nothing.
            self.assertEqual(self.bob.connect("tcp", V4, 9100 + number), "EHOSTUNREACH")
        self.two.run("prlimit", "--pid", pid, f"--nofile={limit}:")
        wait_until(lambda: self.bob.connect("tcp", V4, 9100) == "connected", 15, "the group to be found")
        self.assert_judges()


class Deaths(Supervised, World):
    def test_two_hundred_at_random_moments(self):
        rng = random.Random(3)
        before = self.two.run("nft", "--stateless", "list", "table", "inet", "ubf")
        waiting = []
        for _ in range(200):
            self.ubfd2.kill()
            self.ubfd2.begin()
            time.sleep(rng.random() * 0.12)
            waiting.append((self.alice, self.alice.do(person.send_to, "tcp", V4, PORT)))
            waiting.append((self.bob, self.bob.do(person.send_to, "tcp", V4, PORT)))
        self.ubfd2.kill()
        self.ubfd2.start()
        self.assertEqual(self.two.run("nft", "--stateless", "list", "table", "inet", "ubf"), before)
        for somebody, handle in waiting:
            seen = somebody.do(person.outcome, handle, timeout=20)
            self.assertEqual(seen, "connected" if somebody is self.alice else "EHOSTUNREACH")
        wait_until(lambda: not any(queue["waiting"] for queue in self.ubfd2.status()["queues"]), 5)
        self.assert_judges()


if __name__ == "__main__":
    case.main()
