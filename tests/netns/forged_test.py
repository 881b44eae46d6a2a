#!/usr/bin/python3
"""A user, or root of another node, tries to mislead those who read the log, reports and refusals, and to crowd others
out of them."""

import ctypes
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import V4, V6, TwoNodes, refused, wait_until  # noqa: E402
from lab.node import Node  # noqa: E402
from lab.tree import FOLDER, replace_file  # noqa: E402

PORT = 9001
JOURNALD = "/lib/systemd/systemd-journald"
FIRST_SUBID = 700_000


def take_name(name):
    """Gives this process, and its sockets' program, another name."""
    ctypes.CDLL(None).prctl(15, name, 0, 0, 0)  # PR_SET_NAME


class Bundle(TwoNodes):
    settings = {"limits": {"new_connections": "50/s burst 20", "action": "refuse"}}

    def test_has_neither_name_nor_uid_of_who_is_over_the_limit(self):
        self.person("alice", self.two).listen("tcp", "::", PORT, backlog=4096)
        bob = self.person("bob", self.one)
        for address in (V4, V6):
            bob.do(person.connect_steadily, address, PORT, 10000, 60 / 10000)
        wait_until(lambda: self.ubfd1.status()["over_limit"], 10, "a user over the limit")
        text = self.ubfd1.ctl("doctor", "--bundle", "--config", self.ubfd1.config).stdout
        self.assertEqual(json.loads(text)["status"]["over_limit"], [{"uid": "hidden", "name": "person1(hidden)"}])
        self.assertNotRegex(text, r"alice|bob|6300\d")


class Leftovers(case.Case):
    def test_of_several_processes_all_end(self):
        node = Node("node1")
        node.run("ip", "link", "set", "lo", "up")
        self.key = case.write_key(FOLDER / "key")
        ubfd = self.start_ubfd(node)
        code = ("import os, socket, time\n"
                "server = socket.create_server(('0.0.0.0', 9003))\n"
                "os.fork(), os.fork()\n"
                "os.write(1, b'listens\\n')\n"
                "time.sleep(1000)\n")
        server = node.start("/usr/bin/python3", "-c", code, user="bob", stdout=subprocess.PIPE)
        for _ in range(4):
            self.assertEqual(server.stdout.readline(), "listens\n")
        ubfd.ctl("job", "begin", "--job", "5", "--uid", "63002", "--label", "physics")
        end = ["job", "end", "--job", "5", "--uid", "63002", "--leftovers"]
        self.assertEqual(ubfd.ctl(*end, "report").stdout.count("it goes on"), 4)
        self.assertEqual(ubfd.ctl(*end, "kill").stdout.count(": ended\n"), 4)
        wait_until(lambda: not node.run("ss", "-Htln", "sport", "=", 9003).strip(), 5, "the listener's end")
        server.communicate(timeout=5)
        rows = json.loads(ubfd.ctl("--json", "listeners").stdout)
        self.assertEqual([row for row in rows if row["address"].endswith(":9003")], [])


class Reports(case.Case):
    """Root of another node writes the report that the administrator collects."""

    def rows(self, **more):
        row = {"protocol": "tcp", "from": "10.0.0.1:1", "to": "10.0.0.2:80", "reason": "different-user", "count": 1,
               "connector": {"kind": "user", "uid": 63002}, "listener": {"kind": "user", "uid": 63001}}
        return [row | more]

    def report(self, refusals, *words, **more):
        file = FOLDER / "report.json"
        file.write_text(json.dumps({"host": "node9", "refusals": refusals} | more))
        process = subprocess.run([case.build / "daemon" / "ubfctl", "report", *words, "--from", file], text=True,
                                 capture_output=True, timeout=20)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process.stdout

    def test_have_no_words_that_their_writer_chose(self):
        evil = 'x\n]\n[policy]\nmode = "observe"\n#\x1b[2J'
        listener = {"kind": "user", "uid": 63001, "program": evil}
        for rows in (self.rows(protocol=evil), self.rows(listener=listener), self.rows(listener={"kind": evil}),
                     self.rows(reason="no-answer", listener=listener), self.rows(told_by=evil, hint=evil)):
            suggested = self.report(rows, "--suggest")
            self.assertNotIn("mode", tomllib.loads(suggested).get("policy", {}), suggested)
            for text in (suggested, self.report(rows), self.report(rows, host=evil)):
                self.assertNotIn("\x1b", text)
                self.assertLessEqual(text.count("\n"), 8, text)
        self.assertIn(r"(caf\xc3\xa9)", self.report(self.rows(listener=listener | {"program": r"caf\xc3\xa9"})))
        self.report(self.rows(), host=7)


class Journal(case.Case):
    def setUp(self):
        super().setUp()
        if not pathlib.Path(JOURNALD).exists() or not shutil.which("journalctl"):
            self.skipTest("no journald here")
        folder = pathlib.Path("/run/systemd/journald.conf.d")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test.conf").write_text("[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n")
        journald = subprocess.Popen([JOURNALD])
        self.addCleanup(journald.wait)
        self.addCleanup(journald.terminate)
        wait_until(lambda: pathlib.Path("/run/systemd/journal/socket").exists(), 10, "the journal's socket")

    def write(self, uid, text):
        if os.fork() == 0:
            os.setgroups([])
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
                journal.sendto(f"MESSAGE={text}\nSYSLOG_IDENTIFIER=ubfd\nUBF_REASON=different-user\n"
                               "UBF_CONNECTOR_UID=63001\nPRIORITY=5\n".encode(), "/run/systemd/journal/socket")
            os._exit(0)
        os.wait()

    def test_has_no_line_of_ubfds_that_another_user_wrote(self):
        self.write(63002, "a forged line")
        self.write(0, "a true line")
        for words in ((), ("--user", "63001"), ("--reason", "different-user")):
            command = [case.build / "daemon" / "ubfctl", "log", "--since", "today", *words]

            def shown():
                return subprocess.run(command, text=True, capture_output=True, timeout=20).stdout

            wait_until(lambda: "a true line" in shown(), 10, "the line of root's")
            self.assertNotIn("forged", shown())


if __name__ == "__main__":
    case.main()
