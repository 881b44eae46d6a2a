#!/usr/bin/python3
"""A ruleset that the administrator imports (ruleset.manage = false): ubfd leaves it alone, and stands in when it is
gone."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import V4, V6, TwoNodes, refused, wait_until  # noqa: E402

PORT = 9001
EX_UNAVAILABLE = 69  # sysexits.h


class Import(TwoNodes):
    def start_daemons(self):
        self.ubfd1 = self.start_ubfd(self.one)

    def setUp(self):
        super().setUp()
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two).listen(protocol, "::", PORT)
        self.alice, self.bob = (self.person(user, self.one) for user in ("alice", "bob"))

    def start(self, **ruleset):
        self.ubfd2 = self.start_ubfd(self.two, {"ruleset": {"manage": False, **ruleset}})

    def put(self):
        """Does what an import would do; this kernel's nft can't read the queue rule."""
        file = case.FOLDER / "imported.toml"
        file.write_text(f"[peers]\nranges = {case.PEERS}\n".replace("'", '"'))
        self.two.run(case.build / "daemon" / "ubfctl", "ruleset", "--install", file)

    def table(self):
        return self.two.run("nft", "list", "tables")

    def assert_is(self, state):
        wait_until(lambda: self.ubfd2.status()["ruleset"]["state"] == state, 10, f"{state}: {self.ubfd2.log()}")
        process = self.two.start(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, "status",
                                 stdout=subprocess.DEVNULL)
        self.assertEqual(process.wait(), 0 if state == "installed" else EX_UNAVAILABLE)

    def assert_judges(self):
        for protocol in ("tcp", "udp"):
            for family, address in (("v4", V4), ("v6", V6)):
                with self.subTest(f"{protocol} {address}"):
                    self.assertEqual(self.alice.connect(protocol, address, PORT, timeout=10), "connected")
                    self.assertEqual(self.bob.connect(protocol, address, PORT, timeout=10), refused(protocol, family))

    def test_ubfd_starts_without_it_and_stands_in(self):
        self.start()
        self.assert_is("stand-in")
        self.ubfd2.wait_for_log("the imported ruleset is gone")
        self.assert_judges()

    def test_it_is_left_alone_while_it_is_there_and_stood_in_for_when_it_is_gone(self):
        self.put()
        self.start()
        self.assert_is("installed")
        for gone in (("flush", "ruleset"), ("delete", "table", "inet", "ubf"), ("flush", "chain", "inet", "ubf", "verdict"),
                     ("flush", "table", "inet", "ubf")):
            with self.subTest(gone):
                self.two.run("nft", *gone)
                self.assert_is("stand-in")
                self.assert_judges()
                self.put()
                self.assert_is("installed")
                self.assertNotIn("stand_in", self.two.run("nft", "list", "ruleset"))
                self.assert_judges()

    def test_the_stand_in_is_known_as_such_over_a_restart_and_a_reload(self):
        self.start()
        self.ubfd2.stop()
        self.assertIn("inet ubf", self.table())  # the stand-in stays, and refuses
        self.assertEqual(self.bob.connect("tcp", V4, PORT, timeout=10), "EHOSTUNREACH")
        self.ubfd2.start()
        self.assert_is("stand-in")
        self.assert_judges()

    def test_a_site_may_want_to_be_told_only(self):
        self.put()
        self.start(when_gone="report")
        self.assert_is("installed")
        self.two.run("nft", "flush", "ruleset")
        self.assert_is("broken")
        self.assertEqual(self.table(), "")


if __name__ == "__main__":
    case.main()
