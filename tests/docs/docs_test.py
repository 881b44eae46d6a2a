#!/usr/bin/python3
"""The documentation says what the programs do."""

import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab.plain import take_build  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
build = None  # the build tree


def output(program, *words):
    return subprocess.run([build / "daemon" / program, *words], capture_output=True, text=True, check=True).stdout


def page(name):
    return (ROOT / "docs" / f"{name}.scd").read_text(encoding="utf-8")


def sections():
    """The man page's paragraphs about the configuration, by section."""
    parts = re.split(r"^## \[(\w+)\]$", page("ubfd.toml.5"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def listed_options():
    """Section, key, default and help of each option, as ubfd --help lists them."""
    for section, listed in re.findall(r"^  \[(\w+)\]\n((?:  .+\n)+)", output("ubfd", "--help"), flags=re.M):
        for key, default, text in re.findall(r"^  (\w+) = (.*)\n      (.*)", listed, flags=re.M):
            yield section, key, default, text


def literals(source, at):
    """The first string of the call whose arguments begin at `at`, its pieces joined; … stands for each field."""
    text, depth = None, 1
    while depth:
        if source[at] == '"':
            piece = re.compile(r'"((?:[^"\\]|\\.)*)"').match(source, at)
            text = (text or "") + piece[1]
            at = piece.end()
            if not source[at:].lstrip().startswith('"'):
                break
            continue
        depth += {"(": 1, ")": -1}.get(source[at], 0)
        at += 1
    return text and re.sub(r"\{[^}]*\}", "…", text).replace('\\"', '"')


def logged():
    """Every message that ubfd writes into its log."""
    call = re.compile(r"(?:\blog_?\.(?:warning|error|info)|news\.push_back|warnings\.(?:push_back|emplace_back))\(")
    for file in (*(ROOT / "daemon").rglob("*.cpp"), ROOT / "lib" / "config" / "warnings.cpp"):
        source = file.read_text(encoding="utf-8")
        for match in call.finditer(source) if "ubfctl" not in file.parts else ():
            text = literals(source, match.end())
            if text and " " in text:
                yield text


def told():
    """Every message of ubfctl: its own, and ubfd's answers to it."""
    own = re.compile(r'\b(?:UsageError|Refused|Unreachable)\(|advice =(?=\s*")|(?="ubfctl: [^"])|failure\(EX_\w+,|'
                     r"HttpCode::unavailable,")
    answer = re.compile(r'\{"error",(?=\s*(?:"|fmt::format))|return fail\((?=fmt::format|std::string\(")')
    sources = {own: (ROOT / "daemon" / "ubfctl").glob("*.[ch]pp"),
               answer: [file for place in (".", "control", "jobs") for file in (ROOT / "daemon" / place).glob("*.cpp")]}
    for call, files in sources.items():
        for file in files:
            source = file.read_text(encoding="utf-8")
            for match in call.finditer(source):
                text = literals(source, match.end())
                if text and " " in text and text != "…: …":
                    yield text.removeprefix("ubfctl: ").removesuffix("\\n")


class Docs(unittest.TestCase):
    def explained(self, heading):
        """The messages below a heading, each of which has its cause and the next thing to do."""
        page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
        part = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, flags=re.M | re.S)[1]
        blocks = re.findall(r"^((?:    [^\n]+\n)+)\n(.+?)(?=^    |\Z)", part, flags=re.M | re.S)
        for message, text in blocks:
            self.assertRegex(text, r"(?s)\w.* \*\*Next:\*\*\s\S", message)
        return sorted(" ".join(message.split()) for message, _ in blocks)

    def test_every_message_of_the_log_has_its_cause_and_what_to_do_next(self):
        self.assertGreater(len(set(logged())), 40)
        self.assertEqual(self.explained("In the log of ubfd"), sorted(set(logged())))

    def test_every_message_of_ubfctl_has_its_cause_and_what_to_do_next(self):
        self.assertGreater(len(set(told())), 50)
        self.assertEqual(self.explained("Of ubfctl"), sorted(set(told())))

    def test_every_column_stands_in_the_man_page(self):
        for command, least in (("flows", 11), ("peers", 7)):
            names = re.findall(r"^  [* ] (\w+) ", output("ubfctl", "help", command), flags=re.M)
            self.assertGreaterEqual(len(names), least)
            text = re.search(rf"^\*{command}\* .*\n((?:\t.*\n|\n(?=\t))*)", page("ubfctl.1"), flags=re.M)[1]
            for name in names:
                self.assertIn(f"*{name}*", text)

    def test_every_option_of_the_help_stands_in_the_man_page(self):
        for option in set(re.findall(r"--[a-z][a-z-]+", output("ubfctl", "--help"))):
            self.assertIn(f"{option}*", page("ubfctl.1").replace("\\-", "-"), option)

    def test_every_option_of_the_configuration_has_its_place_and_default_in_the_man_page(self):
        pages, seen = sections(), 0
        for section, key, default, _ in listed_options():
            self.assertIn(f"\n*{key}* = _{default}_\n", pages[section])
            seen += 1
        self.assertGreater(seen, 20)

    def test_a_restart_is_named_for_every_option_that_needs_one_and_for_no_other(self):
        needed = {(section, key) for section, key, _, text in listed_options() if text.endswith(" (needs a restart)")}
        named = {(section, key) for section, text in sections().items()
                 for key, paragraph in re.findall(r"^\*(\w+)\*.*\n((?:\t.*\n|\n(?=\t))*)", text, flags=re.M)
                 if re.search(r"\bA\s+change\s+needs\s+a\s+restart\.\n\Z", paragraph)}
        self.assertIn(("queue", "count"), needed)
        self.assertEqual(named, needed)
        self.assertEqual(len(re.findall(r"A\s+change\s+needs", page("ubfd.toml.5"))), len(needed))

    def test_every_reason_stands_in_the_man_page(self):
        source = (ROOT / "lib" / "policy" / "verdict.cpp").read_text(encoding="utf-8")
        names = re.findall(r'\{Reason::\w+,\s*"([a-z-]+)"', source)
        self.assertGreater(len(names), 15)
        for name in names:
            self.assertIn(f"\n|  {name}\n", page("ubfd.8"))

    def test_every_reason_to_refuse_has_a_heading_on_the_users_page(self):
        source = (ROOT / "lib" / "policy" / "verdict.cpp").read_text(encoding="utf-8")
        names = re.findall(r'\{Reason::\w+,\s*"([a-z-]+)", Action::deny', source)
        headings = re.findall(r"^### (.*)$", (ROOT / "docs" / "refused.md").read_text(encoding="utf-8"), flags=re.M)
        self.assertGreater(len(names), 10)
        self.assertEqual(sorted(headings), sorted(names))

    def test_every_command_of_ubfctl_stands_in_the_man_page(self):
        commands = re.findall(r"^  ([a-z][a-z-]*)\b.*\n      ", output("ubfctl", "--help"), flags=re.M)
        self.assertEqual(len(commands), 23)
        for command in commands:
            self.assertRegex(page("ubfctl.1"), rf"(?m)^\*{command}\*")

    def test_the_version_is_one_everywhere(self):
        def first(pattern, *path):
            return re.search(pattern, ROOT.joinpath(*path).read_text(encoding="utf-8"), flags=re.M)[1]

        version = first(r"^project\(ubf VERSION (\S+)", "CMakeLists.txt")
        self.assertEqual(first(r"^## \[(.*?)\]", "CHANGELOG.md"), version)
        self.assertEqual(first(r"^ubf \((.*?)-", "packaging", "debian", "changelog"), version)
        self.assertEqual(first(r"^Version: +(\S+)", "packaging", "ubf.spec"), version)
        for program in ("ubfd", "ubfctl", "ubf-rdmad", "ubf-portal", "ubf-connect"):
            self.assertRegex(output(program, "--version"), rf"^{program} {re.escape(version)}(, commit [0-9a-f]{{12}})?\n")

    def test_the_man_pages_are_well_formed(self):
        for name in ("ubfd.8", "ubf-rdmad.8", "ubf-portal.8", "ubf-connect.8", "ubfd.toml.5", "ubfctl.1"):
            groff = subprocess.run(["groff", "-man", "-t", "-ww", "-Tutf8", build / "docs" / name],
                                   capture_output=True, text=True, check=True)
            self.assertEqual(groff.stderr, "")

    def test_the_example_configuration_is_good(self):
        self.assertIn("good", output("ubfctl", "check-config", ROOT / "docs" / "ubfd.toml"))
        example = re.search(r"# EXAMPLES\n\n```\n(.*?)```", page("ubfd.toml.5"), flags=re.S)[1]
        process = subprocess.run([build / "daemon" / "ubfctl", "check-config", "/dev/stdin"], capture_output=True,
                                 input=example.replace(', "slurm"', ""), text=True, check=False)
        self.assertEqual(process.returncode, 0, process.stderr)


if __name__ == "__main__":
    build = take_build()
    unittest.main(verbosity=2)
