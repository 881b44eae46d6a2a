#!/usr/bin/python3
"""The demo, run to its end, and interrupted."""

import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab.plain import take_build  # noqa: E402
from recording import comparable, lines_of, words_of  # noqa: E402
from screen import Screen  # noqa: E402
from stage import HAS_JUPYTER  # noqa: E402

DEMO = pathlib.Path(__file__).resolve().parent / "demo"
PICTURE = DEMO.parents[2] / "docs" / "demo.svg"
build = None  # the build tree


def of_ubf():
    """The traces of a demo of this build on this machine."""
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    own = "/" + str(build).strip("/").replace("/", "-") + "/daemon/ubfd --config"  # see lab.reachable()
    return ([line for line in processes.splitlines() if own in line],
            os.listdir("/run/netns") if os.path.isdir("/run/netns") else [], os.path.exists("/run/ubf-lab/node1.sock"),
            "alice:" in pathlib.Path("/etc/passwd").read_text(encoding="utf-8"))


class Demo(unittest.TestCase):
    def start(self, *words):
        return subprocess.Popen([DEMO, "--build", build, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                start_new_session=True)

    def test_shows_who_gets_through_and_why(self):
        process = self.start()
        output = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 0, output)
        self.assertLessEqual(output.count("\n"), 60)
        self.assertLessEqual(max(map(len, output.splitlines())), 100)
        for line in (r"alice@node1  tcp 10\.77\.0\.2:8001 +'hello' +same-user",
                     r"bob@node1 +tcp 10\.77\.0\.2:8001 +No route to host \(EHOSTUNREACH\) +different-user",
                     r"bob@node1 +tcp 10\.77\.0\.2:8002 +'hello' +same-group",
                     r"dave@node1 +tcp 10\.77\.0\.2:8001 +'hello' +same-label",
                     r"talk get http://10\.77\.0\.2:8888/files/results.txt\n  alice's results, not yet published",
                     r"talk get http://10\.77\.0\.2:8888/files/results.txt\n  No route to host",
                     r"alice@node1 has seen: \d+ connected\n",
                     r"denied tcp 10\.77\.0\.1:\d+ -> 10\.77\.0\.2:8888",
                     r"who: +your talk\[\d+\] wanted to reach alice's",
                     r"do: +The server is alice's, and private", r"dead: alice@node1 sees No route to host",
                     r"back: alice@node1 sees 'hello'", r"\n19 of 19 as they should be\n"):
            self.assertRegex(output, re.compile(line))
        self.assertTrue(HAS_JUPYTER)  # the picture shows it
        self.assertEqual(comparable(words_of(PICTURE.read_text(encoding="utf-8"))), comparable(output),
                         "docs/demo.svg is older than the demo: run tests/demo/record")
        count = re.search(r"^\d+ of \d+ as they should be$", output, flags=re.M)[0]
        self.assertIn(count, (DEMO.parents[2] / "README.md").read_text(encoding="utf-8"))

    def test_on_a_terminal_it_has_colour_and_elsewhere_none(self):
        screens = {}
        for kind in ("terminal", "pipe"):
            reader, writer = pty.openpty() if kind == "terminal" else os.pipe()
            with os.fdopen(writer, "w") as stream, unittest.mock.patch("time.sleep") as sleep:
                Screen(stream).result("seen", False, "something else")
                self.assertEqual(sleep.called, kind == "terminal")
                seen = b""
                while seen.count(b"\n") < 2:  # a terminal may hand out lines one by one
                    seen += os.read(reader, 1000)
                screens[kind] = seen.decode().replace("\r", "")
            os.close(reader)
        self.assertEqual(screens["pipe"], "seen\n  WRONG: expected something else\n")
        self.assertEqual(lines_of([(0, screens["terminal"])]),
                         [(0, [("r", "seen")]), (0, [("r", "  WRONG: expected something else")])])

    def test_leaves_nothing_behind_when_it_is_interrupted(self):
        before = of_ubf()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            process, seen = self.start("--without-jupyter"), []
            for line in process.stdout:
                seen.append(line.strip())
                if line.startswith("bob@node1 "):  # in the middle of the demo
                    break
            self.assertIn("On node2 alice runs a stand-in for Jupyter (python3 -m http.server) without a token at port "
                          "8888.", seen)
            self.assertIn("alice's results, not yet published", seen)
            self.assertNotEqual(of_ubf()[0], before[0])
            os.killpg(process.pid, number)
            process.stdout.close()
            self.assertNotEqual(process.wait(timeout=20), 0)
            end = time.monotonic() + 5
            while of_ubf() != before and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual(of_ubf(), before)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit(77)
    build = take_build()
    unittest.main(verbosity=2)
