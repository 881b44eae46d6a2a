#!/usr/bin/python3
"""Each thread of ubfd in turn stands still. ubfd names it, and stops feeding systemd's watchdog if it must."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import V4, V6, TwoNodes, refused, wait_until  # noqa: E402
from lab.supervisor import Supervised  # noqa: E402
from lab.threads import stopped, threads  # noqa: E402

PORT = 9001


class Threads(Supervised, TwoNodes):
    def setUp(self):
        super().setUp()
        server = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            server.listen(protocol, "::", PORT)
        wait_until(self.signs)

    def signs(self):
        return sum("WATCHDOG" in fields for fields in self.supervisor.said)

    def still(self):
        """The thread that status names."""
        found = self.ubfd2.status()["threads"]["standing_still"]
        self.assertLessEqual(len(found), 1, found)
        return found[0] if found else None

    def assert_go_on(self):
        before = self.signs()
        wait_until(lambda: self.signs() > before + 1, 10, "signs of life")

    def assert_no_signs(self):
        before = self.signs()
        time.sleep(2)
        self.assertEqual(self.signs(), before)

    def hold(self, comm, name):
        """Stops a thread that must never wait."""
        for thread in threads(self.ubfd2.process, comm):
            with stopped(thread):
                still = wait_until(self.still, 15)
                self.assertTrue(still["name"].startswith(name), still)
                self.assertEqual(still["waits_for"], "")
                self.ubfd2.wait_for_log(f"thread {still['name']} has not run for ")
                self.assert_no_signs()
            self.ubfd2.wait_for_log(f"thread {still['name']} goes on, after ")
            self.assert_go_on()
        self.assertGreaterEqual(self.ubfd2.status()["threads"]["stalls"], 1)

    def test_the_gate_ends_the_signs_of_life(self):
        self.hold("gate", "gate of queue ")

    def test_ident_ends_the_signs_of_life(self):
        self.hold("ident", "ident")

    def test_udp_ends_the_signs_of_life(self):
        self.hold("udp", "udp")

    def test_owners_end_the_signs_of_life(self):
        self.hold("owners", "owners, the ")

    def test_listeners_end_the_signs_of_life(self):
        self.hold("listeners", "listeners")

    def test_rdma_ends_the_signs_of_life(self):
        self.hold("rdma", "rdma")

    def test_the_main_thread_ends_the_signs_of_life_and_the_log_names_it(self):
        with stopped(self.ubfd2.process.pid):
            self.ubfd2.wait_for_log("thread main has not run for ", 15)
            self.assert_no_signs()
        self.ubfd2.wait_for_log("main thread goes on")
        self.assert_go_on()

    def assert_judges(self):
        """alice's flows need no user name, and bob's denials do."""
        for protocol in ("tcp", "udp"):
            for family, address in (("v4", V4), ("v6", V6)):
                for node in (self.one, self.two):
                    self.assertEqual(self.person("alice", node).connect(protocol, address, PORT), "connected")
                    self.assertEqual(self.person("bob", node).connect(protocol, address, PORT), refused(protocol, family))

    def test_users_are_named_and_end_nothing(self):
        with stopped(threads(self.ubfd2.process, "users")[0]):
            still = wait_until(self.still, 15)
            self.assertEqual(still["name"], "users")
            self.assertIn("user database", still["waits_for"])
            self.ubfd2.wait_for_log("thread users has not run for ")
            text = self.two.run(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, "status")
            self.assertIn("users STANDS STILL for ", text)
            self.assert_go_on()
            self.assert_judges()
        self.ubfd2.wait_for_log("thread users goes on, after ")

    def test_the_log_is_named_and_ends_nothing(self):
        with stopped(threads(self.ubfd2.process, "log")[0]):
            still = wait_until(self.still, 15)
            self.assertEqual(still["name"], "log")
            self.assertIn("journal", still["waits_for"])
            self.assert_go_on()
            self.assert_judges()
        self.ubfd2.wait_for_log("thread log has not run for ")
        self.ubfd2.wait_for_log("thread log goes on, after ")
        self.assert_denied(self.ubfd2, "connector=bob(63002)")
        self.assertEqual(self.ubfd2.status()["log"]["lost"], 0)


if __name__ == "__main__":
    case.main()
