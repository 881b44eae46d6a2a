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
from lab import case, load  # noqa: E402
from lab.case import V4, V6, TwoNodes, refused, wait_until  # noqa: E402
from lab.node import Node  # noqa: E402
from lab.tree import FOLDER, replace_file  # noqa: E402

PORT = 9001
JOURNALD = "/lib/systemd/systemd-journald"
FIRST_SUBID = 700_000


def take_name(name):
    """Gives this process, and its sockets' program, another name."""
    ctypes.CDLL(None).prctl(15, name, 0, 0, 0)  # PR_SET_NAME


class Names(TwoNodes):
    def test_of_a_program_makes_no_word_of_a_line(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        bob = self.person("bob", self.one)
        bob.do(take_name, b"a[1] job=7\n\x1b[2J")
        for protocol, address in (("tcp", V4), ("tcp", V6)):
            self.assertEqual(bob.connect(protocol, address, PORT), refused(protocol, "v4" if address == V4 else "v6"))
        for ubfd, verb in ((self.ubfd2, " denied "), (self.ubfd1, " refused-there ")):
            wait_until(lambda: ubfd.log().count(verb) == 2, 5, f"two lines with{verb}")
            for line in ubfd.log().splitlines():
                if verb in line:
                    self.assertIn(r" connector=bob(63002) a[1]\x20job=7\x0a\x1b[2J", line)
                    self.assertNotIn(" job=", line)


class Telling(TwoNodes):
    def test_reaches_others_though_one_is_refused_in_a_loop(self):
        alice = self.person("alice", self.two)
        ports = range(PORT, PORT + 300)
        for port in ports:
            alice.listen("tcp", "::", port)
        bob, carol = self.person("bob", self.one), self.person("carol", self.one)
        end = bob.begin(load.scan, "tcp", [V4, V6], ports)
        wait_until(lambda: self.ubfd2.status()["refusals_remembered"] > 150, 10, "bob's loop")
        for port in ports[:3]:
            self.assertEqual(carol.connect("tcp", V4, port), refused("tcp", "v4"))
        end()
        wait_until(lambda: self.ubfd1.log().count(" connector=carol(63003)") >= 3, 5, "carol's refusals at her node")


class SubordinateUids(TwoNodes):
    """Bob has uids enough for more users than a node remembers."""

    settings = {"log": {"fold_s": 3600}}
    count = 6000

    def start_daemons(self):
        replace_file("/etc/subuid", [f"bob:{FIRST_SUBID}:65536"])
        super().start_daemons()

    def refusals(self, user):
        process = self.ubfd2.ctl("--json", "why", "--last", "100", socket=self.ubfd2.user_socket, user=user)
        return json.loads(process.stdout)["refusals"]

    def test_make_nobody_else_forgotten_nor_unheard(self):
        alice, carol = self.person("alice", self.two), self.person("carol", self.two)
        for port in range(PORT, PORT + 10):
            alice.listen("tcp", "::", port)
            self.assertEqual(carol.connect("tcp", "127.0.0.1", port), refused("tcp", "v4"))
        self.assertEqual(len(self.refusals("carol")), 10)
        flood = ("import os, socket\n"
                 f"for uid in range({FIRST_SUBID}, {FIRST_SUBID + self.count}):\n"
                 "    os.setresuid(uid, uid, 0)\n"
                 "    with socket.socket() as client:\n"
                 f"        client.connect_ex(('127.0.0.1', {PORT}))\n"
                 "    os.setresuid(0, 0, 0)\n")
        self.assertEqual(self.two.start("/usr/bin/python3", "-c", flood).wait(timeout=60), 0)
        self.assertEqual(len(self.refusals("carol")), 10)
        carols = [line for line in self.ubfd2.denials() if "connector=carol" in line]
        self.assertEqual(carol.connect("tcp", "::1", PORT + 1), refused("tcp", "v6"))
        wait_until(lambda: len([line for line in self.ubfd2.denials() if "connector=carol" in line]) > len(carols), 5,
                   "a line of carol's")


class Bundle(TwoNodes):
    settings = {"limits": {"new_connections": "50/s burst 20", "action": "refuse"}}

    def test_has_neither_name_nor_uid_of_who_is_over_the_limit(self):
        self.person("alice", self.two).listen("tcp", "::", PORT, backlog=4096)
        bob = self.person("bob", self.one)
        for address in (V4, V6):
            bob.do(load.connect_steadily, address, PORT, 10000, 60 / 10000)
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
