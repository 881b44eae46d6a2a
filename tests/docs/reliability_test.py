#!/usr/bin/python3
"""docs/reliability.md, docs/security.md and docs/beside.md name a test for what they promise. Each of those is there."""

import fnmatch
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab.plain import take_build  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
build = None  # the build tree

# (portal.for is a setting)
LABELS = r"netns|portal(?=\.portal)|identity(?=\.(?:identity|stamp|authority))|vm|slurm|mpi|fuzz|docs|lab"
NAME = re.compile(rf"`((?:(?:{LABELS})\.|[A-Z]\w*\.[a-z*])[\w.*]*)`( \(([A-Z]\w+(?:, [A-Z]\w+)*)\))?")


class Reliability(unittest.TestCase):
    def setUp(self):
        listing = subprocess.run(["ctest", "--test-dir", build, "-N"], capture_output=True, text=True, check=True).stdout
        self.tests = re.findall(r"^ *Test +#\d+: (\S+)$", listing, flags=re.M)
        self.assertGreater(len(self.tests), 100)

    def names(self):
        """Each name in these pages, and the classes that stand behind it in parentheses."""
        for page in ("reliability", "security", "beside"):
            text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
            for match in NAME.finditer(text):
                yield match[1], (match[3] or "").split(", ") if match[3] else []

    def test_every_test_that_is_named_is_there(self):
        seen = 0
        for name, _ in self.names():
            with self.subTest(name):
                self.assertTrue(fnmatch.filter(self.tests, name), "no test of that name")
            seen += 1
        self.assertGreater(seen, 80)

    def test_every_class_that_is_named_is_there(self):
        sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*/*.py"))
        classes = set(re.findall(r"^class (\w+)\(", sources, flags=re.M))
        for name, wanted in self.names():
            for one in wanted:
                with self.subTest(f"{name} ({one})"):
                    self.assertIn(one, classes)


if __name__ == "__main__":
    build = take_build()
    unittest.main(verbosity=2)
