#!/usr/bin/python3
"""ubfd restarts, is upgraded, or dies, while connections keep coming: packets in its sockets wait for its successor.
The test keeps the descriptors as systemd does."""

import os
import pathlib
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load, person, supervisor  # noqa: E402
from lab.case import V4, TwoNodes, wait_until  # noqa: E402
from lab.threads import stopped, threads  # noqa: E402

PORT = 9001


class Supervised(supervisor.Supervised, TwoNodes):
    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT, backlog=4096)
        self.alice = self.person("alice", self.one)


class Restart(Supervised):
    def connect_meanwhile(self, act, seconds):
        """200 connections a second. Returns the outcomes, and the number of retransmitted SYNs."""
        before = self.retransmitted()
        thread = threading.Thread(target=act)
        thread.start()
        seen = self.alice.do(load.connect_steadily, V4, PORT, 200, seconds)
        thread.join()
        return seen, self.retransmitted() - before

    def retransmitted(self):
        names, values = (line.split() for line in self.one.run("cat", "/proc/net/snmp").splitlines()
                         if line.startswith("Tcp:"))
        return int(dict(zip(names, values))["RetransSegs"])

    def test_no_connection_is_lost_or_refused_over_a_restart(self):
        def act():
            for _ in range(3):
                time.sleep(1)
                self.assertEqual(self.ubfd2.stop(), 0)
                time.sleep(0.2)
                self.ubfd2.start()

        self.assertEqual(self.connect_meanwhile(act, 6), ({"connected": 1200}, 0))

    def test_no_connection_is_lost_or_refused_when_it_is_killed(self):
        def act():
            for _ in range(5):
                time.sleep(0.8)
                self.ubfd2.kill()
                time.sleep(0.2)
                self.ubfd2.start()

        seen, _ = self.connect_meanwhile(act, 6)
        self.assertEqual(seen, {"connected": 1200})

    def test_what_a_dead_ubfd_had_read_does_not_stay_in_the_queue(self):
        self.ubfd1.kill()  # makes packets wait for its answer
        self.ubfd1.stop = lambda: 0
        for _ in range(20):
            self.alice.do(person.send_to, "tcp", V4, PORT)
        wait_until(lambda: sum(queue["waiting"] for queue in self.ubfd2.status()["queues"]) == 20)
        self.ubfd2.kill()
        self.ubfd2.start()
        wait_until(lambda: sum(queue["waiting"] for queue in self.ubfd2.status()["queues"]) == 0, 0.5)
        # ubfd first reads the retransmitted SYNs.
        wait_until(lambda: sum(self.ubfd2.status()["reasons"].values()) >= 20, 5)

    def test_what_is_kept_under_another_configuration_is_let_go(self):
        def kept():
            return sorted(name for name in self.supervisor.kept if not name.startswith("senders"))  # if there is BPF

        wait_until(lambda: kept() == ["ident", "queue-0", "queue-1", "table"])
        self.ubfd2.configure({**self.ubfd2.settings, "queue": {"first": 7, "count": 1}})
        self.ubfd2.stop()
        self.ubfd2.start()
        wait_until(lambda: kept() == ["ident", "queue-7", "table"])
        self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")
        table = self.two.run("cat", "/proc/net/netfilter/nfnetlink_queue").splitlines()
        self.assertEqual([line.split()[0] for line in table], ["7"])

    def test_it_says_how_it_is(self):
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        wait_until(lambda: any("denied 1," in fields.get("STATUS", "") for fields in self.supervisor.said), 8)
        self.assertTrue(any("READY" in fields for fields in self.supervisor.said))
        self.assertTrue(any("WATCHDOG" in fields for fields in self.supervisor.said))
        self.ubfd2.reload()
        wait_until(lambda: any("RELOADING" in fields for fields in self.supervisor.said))
        self.ubfd2.stop()
        wait_until(lambda: any("STOPPING" in fields for fields in self.supervisor.said))


class Watchdog(Supervised):
    """One thread stands still, while all others go on."""

    def thread(self, name):
        return threads(self.ubfd2.process, name)[0]

    def signs(self):
        return sum("WATCHDOG" in fields for fields in self.supervisor.said)

    def test_one_thread_that_stands_still_stops_the_signs_of_life(self):
        for name in ("gate", "ident"):
            thread = self.thread(name)
            with stopped(thread):
                time.sleep(4.5)
                before = self.signs()
                time.sleep(2)
                self.assertEqual(self.signs(), before, name)
                self.assertTrue(self.ubfd2.status()["ok"])
            wait_until(lambda before=before: self.signs() > before, 5)

    def test_one_thread_that_dies_takes_all_with_it(self):
        """Otherwise a queue would lose its reader, behind a process that looks well."""
        self.good_ends += (-signal.SIGSEGV,)
        os.kill(self.thread("gate"), signal.SIGSEGV)
        self.assertEqual(self.ubfd2.process.wait(timeout=10), -signal.SIGSEGV)


if __name__ == "__main__":
    case.main()
