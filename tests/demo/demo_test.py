#!/usr/bin/python3
"""The demo, run to its end, and interrupted."""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

DEMO = pathlib.Path(__file__).resolve().parent / "demo"
build = DEMO.parents[2] / "build" / "release"


def of_ubf():
    """The traces of a demo on this machine."""
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return ([line for line in processes.splitlines() if "daemon/ubfd --config" in line],
            os.listdir("/run/netns") if os.path.isdir("/run/netns") else [], os.path.exists("/run/ubf-lab/node1.sock"),
            "alice:" in pathlib.Path("/etc/passwd").read_text(encoding="utf-8"))


class Demo(unittest.TestCase):
    def start(self):
        return subprocess.Popen([DEMO, "--build", build], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                start_new_session=True)

    def test_shows_who_gets_through_and_why(self):
        process = self.start()
        output = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 0, output)
        self.assertLessEqual(output.count("\n"), 40)
        self.assertLessEqual(max(map(len, output.splitlines())), 100)
        for line in (r"alice@node1  tcp 10\.77\.0\.2:8001 +'hello' +same-user",
                     r"bob@node1 +tcp 10\.77\.0\.2:8001 +No route to host \(EHOSTUNREACH\) +different-user",
                     r"bob@node1 +tcp 10\.77\.0\.2:8002 +'hello' +same-group",
                     r"denied tcp 10\.77\.0\.1:\d+ -> 10\.77\.0\.2:8001", r"who: +your talk\[\d+\] wanted to reach alice's",
                     r"do: +The server is alice's, and private", r"dead: alice@node1 sees No route to host",
                     r"back: alice@node1 sees 'hello'", r"\n14 of 14 as they should be\n"):
            self.assertRegex(output, re.compile(line))

    def test_leaves_nothing_behind_when_it_is_interrupted(self):
        before = of_ubf()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            process = self.start()
            for line in process.stdout:
                if line.startswith("bob@node1"):  # in the middle of the demo
                    break
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
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=build)
    options, rest = parser.parse_known_args()
    build = options.build.resolve()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
