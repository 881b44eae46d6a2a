#!/usr/bin/python3
"""The screens of ubfctl that pages show come from a run of this scene. A page has them between two marks:

    <!-- screen NAME -->
    <!-- end of screen -->

With --write, this writes the screens anew. Otherwise it fails if a page's screen has not the shape of a fresh one."""

import pathlib
import re
import subprocess
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load  # noqa: E402
from lab.case import PEERS, V4, TwoNodes, wait_until  # noqa: E402

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
SCHEDULER, NOTEBOOK, BUSY = 8786, 8888, 9001
MARKED = re.compile(r"^(?P<indent> *)<!-- screen (?P<name>\w+) -->\n.*?^ *<!-- end of screen -->\n", re.M | re.S)
BY_FIRST_WORD = {"status", "top"}  # the rest depends on the machine and the moment
writing = "--write" in sys.argv


def shape(name, text):
    """The words that do not differ from run to run."""
    text = re.sub(r"[\d:.-]*\d[\d:.-]*", "N", text)
    if name not in BY_FIRST_WORD:
        return text.split()
    words = [re.match(r" {0,8}(\S*)", line)[1] for line in text.splitlines()]
    return [word for word, before in zip(words, [None, *words]) if word and word != before]


def wrapped(line, indent):
    """A line of a screen, in lines that fit a page."""
    first = re.match(r" *\S+  +", line)
    return textwrap.wrap(line, 116 - len(indent), subsequent_indent=" " * (len(first[0]) if first else 10),
                         break_on_hyphens=False) or [""]


def filled(mark, screens):
    """The marked part of a page with a fresh screen."""
    indent, name = mark["indent"], mark["name"]
    text = "".join(f"{indent}    {piece}".rstrip() + "\n" for line in screens[name] for piece in wrapped(line, indent))
    return f"{indent}<!-- screen {name} -->\n\n{text}\n{indent}<!-- end of screen -->\n"


class Screens(TwoNodes):
    settings = {"policy": {"mode": "observe"}}

    def setUp(self):
        super().setUp()
        self.serve("alice", SCHEDULER, "dask-scheduler", "--host", V4, "--port", SCHEDULER, "--no-dashboard")
        self.serve("carol", NOTEBOOK, "/usr/bin/python3", "-m", "http.server", NOTEBOOK)

    def serve(self, user, port, *command):
        process = self.two.start(*command, user=user, cwd="/tmp", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        wait_until(lambda: self.two.run("ss", "-Htln", "sport", "=", port).strip(), 30, f"{command[0]} to listen")

    def use(self, user, port):
        """A program of the user's on node1 connects."""
        command = ["curl", "-s", "-o", "/dev/null", "--max-time", "5", f"http://{V4}:{port}/"]
        self.one.start(*command, user=user).wait()

    def screen(self, words, ubfd, user=None):
        socket = ubfd.user_socket if user else None
        output = ubfd.ctl(*words, socket=socket, user=user).stdout
        return [f"{'$' if user else '#'} ubfctl {' '.join(word for word in words if word != '--once')}",
                *output.splitlines()]

    def observed(self):
        for user, port, times in (("bob", SCHEDULER, 3), ("carol", SCHEDULER, 1), ("bob", NOTEBOOK, 2)):
            for _ in range(times):
                self.use(user, port)
        return {"report": self.screen(["report"], self.ubfd2),
                "suggest": self.screen(["report", "--suggest"], self.ubfd2)}

    def enforced(self):
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.configure({"peers": {"ranges": PEERS}})
            ubfd.reload()
        self.use("bob", SCHEDULER)
        wait_until(lambda: "do:" in "".join(self.screen(["why", "--last", "1"], self.ubfd1, "bob")), 5, "the cure")
        self.person("alice", self.two).listen("tcp", "0.0.0.0", BUSY)
        crowd = self.person("alice", self.one).begin(load.connect_steadily, V4, BUSY, 50, 4)
        screens = {"why": self.screen(["why", "--last", "1"], self.ubfd1, "bob"),
                   "top": self.screen(["top", "--once"], self.ubfd2),
                   "status": self.screen(["status"], self.ubfd2)}
        self.assertEqual(crowd(), {"connected": 200})
        return screens

    def test_pages_show_screens_as_they_are(self):
        fresh, shown = self.observed() | self.enforced(), set()
        for page in DOCS.glob("*.md"):
            text = page.read_text(encoding="utf-8")
            shown |= {mark["name"] for mark in MARKED.finditer(text)}
            if writing:
                page.write_text(MARKED.sub(lambda mark: filled(mark, fresh), text), encoding="utf-8")
                continue
            for mark in MARKED.finditer(text):
                self.assertEqual(shape(mark["name"], mark[0]), shape(mark["name"], filled(mark, fresh)),
                                 f"{page}: 'sudo {sys.argv[0]} --write' writes the screens anew")
        self.assertEqual(shown, set(fresh))


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "--write"]
    case.main()
