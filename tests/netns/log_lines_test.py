#!/usr/bin/python3
"""Lines of ubfd's: their fields in the journal, their repeats, and a journal that is gone."""

import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load, person  # noqa: E402
from lab.case import PEERS, V4, TwoNodes, wait_until  # noqa: E402

PORT = 9001


class Journal(TwoNodes):
    """The test owns the journal's socket here; tests/vm has a real journal."""

    def start_daemons(self):
        folder = pathlib.Path("/run/systemd/journal")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "socket").unlink(missing_ok=True)
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.journal.close)
        self.journal.bind(str(folder / "socket"))
        self.journal.settimeout(5)
        # stderr leads to no journal, so only a setting chooses it. "ready" goes to the journal too.
        self.ubfd2 = self.start_ubfd(self.two, {"peers": {"ranges": PEERS}, "log": {"target": "journal"}},
                                     ready=lambda: self.entry("ready: "))
        self.ubfd1 = self.start_ubfd(self.one)

    def entry(self, text):
        """The fields of the next entry whose message holds this text."""
        while True:
            fields = dict(line.split("=", 1) for line in self.journal.recv(65536).decode().splitlines())
            if text in fields["MESSAGE"]:
                return fields

    def test_a_denial_has_fields_of_its_own(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        bob = self.person("bob", self.one)
        self.assertEqual(bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
        fields = self.entry("denied ")
        self.assertEqual(
            {key: fields[key] for key in fields if key.startswith("UBF_") and key not in ("UBF_SOURCE", "UBF_ID")},
            {"UBF_EVENT": "denied", "UBF_REASON": "different-user", "UBF_PROTOCOL": "tcp", "UBF_COUNT": "1",
             "UBF_DESTINATION": f"{V4}:{PORT}", "UBF_CONNECTOR_USER": "bob(63002)", "UBF_CONNECTOR_UID": "63002",
             "UBF_CONNECTOR_COMM": "person", "UBF_CONNECTOR_PID": str(bob.pid), "UBF_LISTENER_USER": "alice(63001)",
             "UBF_LISTENER_UID": "63001", "UBF_LISTENER_COMM": "person",
             "UBF_LISTENER_PID": fields["UBF_LISTENER_PID"]})
        self.assertEqual((fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"]), ("5", "ubfd"))
        catalogue = (pathlib.Path(__file__).resolve().parents[2] / "systemd" / "ubf.catalog").read_text()
        self.assertIn(f"-- {fields['MESSAGE_ID']}\nSubject: A flow was refused", catalogue)

    def test_a_journal_that_is_gone_costs_lines_and_nothing_else(self):
        self.journal.close()
        self.person("alice", self.two).listen("tcp", "::", PORT)
        for _ in range(3):
            self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
            self.assertEqual(self.person("alice", self.one).connect("tcp", V4, PORT), "connected")
        wait_until(lambda: self.ubfd2.status()["log"]["lost"] > 0)


class Folding(TwoNodes):
    settings = {"log": {"fold_s": 1}}

    def test_repeats_of_a_denial_are_a_line_with_their_count(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        seen = self.person("bob", self.one).do(load.ask_each, "tcp", V4, PORT, 200)
        self.assertEqual(seen, {"EHOSTUNREACH": 200})
        wait_until(lambda: sum(int(line.partition("repeated=")[2].split()[0])
                               for line in self.ubfd2.denials() if "repeated=" in line) >= 190, 5)
        self.assertLess(len(self.ubfd2.denials()), 10)

    def test_what_a_program_is_called_is_escaped(self):
        name = b"a\\b\n\x1b[31m \xff"
        self.person("alice", self.two).listen("tcp", "::", PORT)
        bob = self.person("bob", self.one)
        bob.do(person.rename, name)
        self.assertEqual(bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assert_denied(self.ubfd2, r"connector=bob(63002) a\x5cb\x0a\x1b[31m\x20\xff[")
        for line in self.ubfd2.log().splitlines():
            self.assertTrue(line.isascii() and line.isprintable(), line)


if __name__ == "__main__":
    case.main()
