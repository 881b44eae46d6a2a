#!/usr/bin/python3
"""A user who was refused learns why, and what to do, without root."""

import json
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import REFUSED, V4, V6, TwoNodes, wait_until  # noqa: E402

PORT = 9001


class Why(TwoNodes):
    def ask(self, user, ubfd, *words, status=0):
        process = ubfd.ctl(*words, socket=ubfd.user_socket, user=user)
        self.assertEqual(process.returncode, status, process.stderr)
        return process.stderr if status else process.stdout

    def refusals(self, user, ubfd):
        return json.loads(self.ask(user, ubfd, "--json", "why"))["refusals"]

    def refuse(self, connector="bob", listener="alice", address=V4, protocol="tcp"):
        server = self.person(listener, self.two)
        server.listen(protocol, "::", PORT)
        client = self.person(connector, self.one)
        self.assertNotEqual(client.connect(protocol, address, PORT), "connected")
        return server, client

    def test_the_listeners_node_tells_both_ends_and_nobody_else(self):
        self.refuse()
        text = self.ask("bob", self.ubfd2, "why")
        self.assertIn(f"tcp 10.77.0.1 -> {V4}:{PORT}  denied", text)
        self.assertIn("wanted to reach alice's server", text)
        self.assertIn("(different-user)", text)
        self.assertIn("Both of you are members of group", text)
        self.assertIn("sg ", text)
        self.assertIn("bob's program wanted to reach your person[", self.ask("alice", self.ubfd2, "why"))
        self.assertIn("Nothing of yours was refused", self.ask("carol", self.ubfd2, "why"))

    def test_programs_print_what_the_users_page_says(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "refused.md").read_text()
        rows = re.findall(r"^\| `(\w+ [^`]*)` \| `([^`]*)` \|$", page, flags=re.M)
        self.assertGreater(len(rows), 7)
        tried = 0
        for command, printed in rows:
            for address in (V4, V6):
                words = shlex.split(command.replace("8888", str(PORT)))
                in_url = f"[{address}]" if ":" in address and "//" in command else address
                words = [word.replace("NODE", in_url) for word in words]
                if not shutil.which(words[0]) or (words[0] == "python3" and not pathlib.Path("/usr/bin/python3").exists()):
                    continue
                if words[0] == "python3":
                    words[0] = "/usr/bin/python3"  # a user's
                process = self.one.start("env", "HOME=/tmp", "LC_ALL=C", *words, user="bob", stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)
                output = process.communicate(timeout=30)[0]
                self.assertNotEqual(process.returncode, 0, words)
                self.assertIn(printed, output)
                tried += 1
        self.assertGreaterEqual(tried, 6)
        self.assertGreaterEqual(len(self.refusals("bob", self.ubfd2)), 2)

    def test_the_connectors_node_is_told(self):
        for protocol in ("tcp", "udp"):
            for address in (V4, V6):
                with self.subTest(f"{protocol} {address}"):
                    server, client = self.refuse(address=address, protocol=protocol)
                    wait_until(lambda: any(f"{protocol} " in line and "refused-there" in line and
                                           f"told by {address}" in line for line in self.ubfd1.log().splitlines()))
                    row = self.refusals("bob", self.ubfd1)[0]
                    self.assertEqual((row["protocol"], row["told_by"], row["role"]), (protocol, address, "connector"))
                    self.assertEqual(row["connector"]["program"], "person")
                    self.dismiss(server)
                    self.dismiss(client)
        self.assertEqual(self.refusals("alice", self.ubfd1)[0]["role"], "listener")
        self.assertEqual(self.refusals("carol", self.ubfd1), [])

    def test_repeats_are_one_and_the_newest_is_first(self):
        _, client = self.refuse()
        self.assertEqual(client.connect("tcp", V4, PORT), REFUSED["v4"])
        self.assertEqual(client.connect("tcp", V6, PORT), REFUSED["v6"])
        rows = self.refusals("bob", self.ubfd2)
        self.assertEqual([(row["to"], row["count"]) for row in rows], [(f"[{V6}]:{PORT}", 1), (f"{V4}:{PORT}", 2)])
        self.assertEqual(len(json.loads(self.ask("bob", self.ubfd2, "--json", "why", "--last", "1"))["refusals"]), 1)

    def test_another_users_program_is_never_told_and_its_user_as_the_site_says(self):
        self.refuse()
        row = self.refusals("bob", self.ubfd2)[0]
        self.assertEqual(row["listener"], {"kind": "user", "uid": 63001})
        settings = dict(self.ubfd2.settings, control={"reveal": "none"})
        self.ubfd2.configure(settings)
        self.ubfd2.reload()
        self.assertEqual(self.refusals("bob", self.ubfd2)[0]["listener"], {"kind": "user"})
        self.assertIn("another user's server", self.ask("bob", self.ubfd2, "why"))
        self.assertNotIn("alice", self.ask("bob", self.ubfd2, "why"))

    def test_a_restart_forgets_nothing(self):
        self.refuse()
        before = self.refusals("bob", self.ubfd2)
        self.ubfd2.stop()
        self.ubfd2.start()
        self.assertEqual(self.refusals("bob", self.ubfd2), before)

    def test_the_id_of_the_log_line_explains_it(self):
        self.refuse()
        self.assert_denied(self.ubfd2, "id=")
        line = self.ubfd2.denials()[0]
        number = line.rsplit("id=", 1)[1].strip()
        for words in ((number,), ("--last",), ("--last", "bob")):
            process = self.ubfd2.ctl("explain", *words)
            self.assertEqual(process.returncode, 0)
            self.assertIn("so: deny (different-user)", process.stdout)
            self.assertIn("connector: bob, program person", process.stdout)

    def test_the_socket_tells_nothing_else_and_each_user_a_few_times_a_second(self):
        self.refuse()
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(5)
            control.connect(str(self.ubfd2.user_socket))
            lines = control.makefile()
            for request in ('{"command": "status"}', '{"command": "refusals"}', "rubbish", "[]", '{"command": "reload"}'):
                control.sendall(request.encode() + b"\n")
                self.assertFalse(json.loads(lines.readline())["ok"])
            answers = []
            for _ in range(30):
                control.sendall(b'{"command": "why"}\n')
                answers.append(json.loads(lines.readline()))
        self.assertIn("too many requests", next(answer["error"] for answer in answers if not answer["ok"]))
        self.assertEqual(len(self.refusals("bob", self.ubfd2)), 1)  # who has requests of his own

    def test_a_users_many_clients_shut_out_nobody(self):
        self.refuse()
        mine = [socket.socket(socket.AF_UNIX) for _ in range(200)]
        for each in mine:
            self.addCleanup(each.close)
            each.connect(str(self.ubfd2.user_socket))
        self.assertEqual(len(self.refusals("bob", self.ubfd2)), 1)
        self.assert_alive(self.ubfd2)


if __name__ == "__main__":
    case.main()
