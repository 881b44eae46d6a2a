#!/usr/bin/python3
"""Comments and pages are plain English, as far as a program can tell: CONTRIBUTING.md has the rules."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab.plain import take_build  # noqa: E402
from prose import fault, sentences  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = {".cpp", ".hpp", ".c", ".h", ".py", ".md", ".scd", ".toml", ".cmake", ".in"}
NAMES = {"CMakeLists.txt", "Makefile"}


def files():
    for folder in ("", "daemon", "docs", "lib", "nft", "packaging", "systemd", "tests", ".ci"):
        for path in sorted((ROOT / folder).rglob("*") if folder else ROOT.glob("*")):
            if path.is_file() and (path.suffix in KINDS or path.name in NAMES or (path.read_bytes()[:2] == b"#!")):
                yield path


class Prose(unittest.TestCase):
    def test_no_sentence_is_too_long_or_begins_with_a_clause_as_its_subject(self):
        seen, faults = 0, []
        for path in files():
            for sentence in sentences(path):
                seen += 1
                if why := fault(sentence):
                    faults.append(f"{path.relative_to(ROOT)}:{sentence.line}: {why}: {sentence.text}")
        self.assertGreater(seen, 5000)
        self.assertEqual(faults, [], "\n" + "\n".join(faults))

    def test_a_fault_is_seen_in_every_kind_of_file(self):
        long = " ".join(["word"] * 31) + "."
        kinds = {"a.cpp": "int x;  // What is left goes.\n// A good one.\n//\n// {}\n",
                 "a.py": 'def f():\n    """What is left goes."""\n# {}\n',
                 "a.md": "# Title\n\nA good one. What is left goes.\n\n| a | {} |\n```\nWhat is code stays.\n```\n",
                 "a.scd": "# NAME\n\n*x* = _1_\n\tWhat is left goes.\n\n{}\n",
                 "a.toml": "a = 1\n# What is left goes.\n#\n# {}\n"}
        with tempfile.TemporaryDirectory() as folder:
            for name, text in kinds.items():
                path = pathlib.Path(folder, name)
                path.write_text(text.replace("{}", long), encoding="utf-8")
                found = [why for sentence in sentences(path) if (why := fault(sentence))]
                self.assertEqual(sorted(found), ["begins with 'What'", "has 31 words"], name)


if __name__ == "__main__":
    take_build()  # every test is handed one; this needs none
    unittest.main(verbosity=2)
