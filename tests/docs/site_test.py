#!/usr/bin/python3
"""The pages build as a site, and every link leads somewhere: there, and in the tree."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab.plain import need, take_build  # noqa: E402
import links  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = ROOT / "packaging" / "mkdocs.yml"


class Site(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("mkdocs", "mandoc")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.site = pathlib.Path(folder.name)
        cls.process = subprocess.run(["mkdocs", "build", "--strict", "-f", CONFIG, "-d", cls.site],
                                     capture_output=True, text=True, check=False)

    def test_it_builds_without_a_warning_and_every_link_and_anchor_leads_somewhere(self):
        self.assertEqual(self.process.returncode, 0, self.process.stderr)
        pages, faults = links.of_html(self.site)
        self.assertGreater(sum(len(found) for _, found in pages.values()), 1000)
        self.assertEqual(faults, [], "\n".join(faults))
        menu = CONFIG.read_text(encoding="utf-8")
        for path in (ROOT / "docs").glob("*.md"):
            self.assertRegex(menu, rf"(?m): {re.escape(path.name)}$", "packaging/mkdocs.yml: a page stands in no menu")
        for path in (ROOT / "docs").glob("*.scd"):
            self.assertIn(f": man/{path.stem}.md\n", menu)
        for screen in ("status", "top", "report", "suggest", "why"):
            self.assertIn("<svg", (self.site / "screens" / f"{screen}.svg").read_text(encoding="utf-8"))
        # Items with screens and several paragraphs stay items of one list.
        items = (self.site / "rollout.html").read_text(encoding="utf-8").split("<ol>")[1].split("</ol>")[0]
        self.assertEqual(re.findall(r"<li>\s*<p><strong>(.*?)</strong>", items),
                         re.findall(r"^\d\. \*\*(.*?)\*\*", (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8"), flags=re.M))


class Tree(unittest.TestCase):
    def test_every_link_between_pages_of_the_tree_leads_somewhere(self):
        pages, faults = links.of_markdown(ROOT)
        self.assertIn(ROOT / "README.md", pages)
        self.assertEqual(faults, [], "\n".join(faults))

    def test_links_that_lead_nowhere_are_seen(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "docs").mkdir()
            (folder / "README.md").write_text("# A b\n[1](#a-b) [2](#b) [3](docs/c.md#c) [4](docs/c.md#d) [5](e.md)\n")
            (folder / "docs" / "c.md").write_text("# C\n[6](../README.md) [7](https://example.org/)\n")
            (folder / "i.html").write_text('<p id="x"><a href="#x">1</a><a href="#y">2</a><img src="z.svg">')
            self.assertEqual([fault.split(": ", 1)[1] for fault in links.of_markdown(folder)[1]],
                             ["#b: no such anchor", "docs/c.md#d: no such anchor", "e.md: no such file"])
            self.assertEqual([fault.split(": ", 1)[1] for fault in links.of_html(folder)[1]],
                             ["#y: no such anchor", "z.svg: no such file"])


if __name__ == "__main__":
    take_build()  # every test is handed one; this needs none
    unittest.main(verbosity=2)
