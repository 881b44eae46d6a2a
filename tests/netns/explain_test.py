#!/usr/bin/python3
"""ubfctl explain: the verdict before a connection, and of a refusal after it."""

import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import PROJ, V4, V6  # noqa: E402
from lab.ubfctl import EXEMPT, PORT, SHARED, Ubfctl  # noqa: E402

EX_USAGE = 64  # sysexits.h


class Explain(Ubfctl):
    def setUp(self):
        super().setUp()
        self.alice = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            self.alice.listen(protocol, "::", PORT)
        self.person("alice", self.two, group=PROJ).listen("tcp", "::", SHARED)

    def explain(self, source, destination, *words, status=0):
        text = lambda end: f"[{end[0]}]:{end[1]}" if ":" in end[0] else f"{end[0]}:{end[1]}"  # noqa: E731
        return self.ubfctl("explain", "--from", text(source), "--to", text(destination), *words, status=status)

    def flow_of(self, user, node, address, port, protocol="tcp"):
        """Begins a flow, which is allowed or refused. Returns its source."""
        somebody = self.person(user, node)
        handle = somebody.do(person.bound, protocol, "::" if ":" in address else "0.0.0.0", 0)
        somebody.do(person.begin, handle, address, port)
        return somebody.do(person.local_address, handle)

    def test_an_allowed_flow_step_by_step(self):
        source = self.flow_of("alice", self.one, V4, PORT)
        text = self.explain(source, (V4, PORT))
        self.assertRegex(text, re.compile(
            r"tcp 10\.77\.0\.1:\d+ -> 10\.77\.0\.2:9001 ends at this node, which decides\n"
            r"listener: a socket of alice\(63001\), program person\[\d+\], effective gid 63001, groups .*\n"
            r"connector: asked the ubfd of 10\.77\.0\.1\n"
            r"connector: a socket of alice\(63001\).*\n"
            r"verdict: allow, same-user\n"
            r"so: allow \(same-user\): both ends belong to one user\n"))

    def test_every_way_and_every_owner(self):
        for user, node, address, port, protocol, action, reason in (
                ("alice", self.one, V6, PORT, "tcp", "allow", "same-user"),
                ("alice", self.one, V4, PORT, "udp", "allow", "same-user"),
                ("alice", self.two, "127.0.0.1", PORT, "tcp", "allow", "same-user"),
                ("bob", self.two, "::1", PORT, "udp", "deny", "different-user"),
                ("bob", self.one, V4, PORT, "udp", "deny", "different-user"),
                ("bob", self.one, V4, SHARED, "tcp", "allow", "same-group")):
            source = self.flow_of(user, node, address, port, protocol)
            answer = json.loads(self.explain(source, (address, port), "--proto", protocol, "--json"))
            self.assertEqual((answer["verdict"]["action"], answer["verdict"]["reason"]), (action, reason))
            self.assertEqual((answer["listener"]["user"], answer["connector"]["user"]), ("alice", user))
            self.assertEqual(answer["connector"]["comm"], "person")

    def test_ends_that_nobody_owns(self):
        answer = self.explain(("10.77.0.1", 4000), (V4, PORT))
        self.assertIn("connector: no socket sends this flow now\n", answer)
        self.assertIn("so: deny (connector-unknown)", answer)
        self.assertIn("so: closed (no-listener)", self.explain(("10.77.0.1", 4000), (V4, 9999)))
        self.assertIn("so: deny (outside)", self.explain(("10.99.0.1", 4000), (V4, PORT)))

    def test_a_port_that_is_not_watched(self):
        self.alice.listen("tcp", "::", EXEMPT)
        self.assertIn("port 9003 is exempt", self.explain(("10.77.0.1", 4000), (V4, EXEMPT)))
        self.assertIn("port 80 is out of scope", self.explain(("10.77.0.1", 4000), (V4, 80)))

    def test_a_peer_that_is_silent(self):
        self.ubfd1.kill()
        self.assertIn("so: deny (no-answer)", self.explain(("10.77.0.1", 4000), (V4, PORT)))

    def test_an_exempt_listener_needs_no_answer_of_the_peer(self):
        self.ubfd2.configure({**self.ubfd2.settings, "policy": {"exempt_listeners": ["alice"]}})
        self.ubfd2.reload()
        self.ubfd1.kill()
        source = self.flow_of("bob", self.one, V4, PORT)
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "connected")
        answer = self.explain(source, (V4, PORT))
        self.assertIn("connector: not asked about, for it makes no difference\n", answer)
        self.assertIn("so: allow (exempt-listener)", answer)

    def test_an_interface_that_is_not_watched(self):
        self.ubfd2.configure({**self.ubfd2.settings, "scope": {"interfaces": ["lo"]}})
        self.ubfd2.reload()
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "connected")
        self.assertIn("eth0 is not watched (scope.interfaces): the kernel lets it pass",
                      self.explain(("10.77.0.1", 4000), (V4, PORT)))
        here = self.explain(("127.0.0.1", 4000), ("127.0.0.1", PORT))
        self.assertNotIn("is not watched", here)

    def test_a_flow_that_ends_elsewhere_is_sent_there(self):
        message = self.explain((V4, 4000), ("192.0.2.1", PORT), status=1)
        self.assertIn("192.0.2.1 is not an address of this node; the listener's node decides, so ask there", message)

    def test_a_connection_that_nobody_has_begun(self):
        for user, port, verdict in (("alice", PORT, "allow (same-user)"), ("bob", PORT, "deny (different-user)"),
                                    ("bob", SHARED, "allow (same-group)"), ("carol", SHARED, "deny (different-user)")):
            for source, to in (("10.77.0.1", f"{V4}:{port}"), ("fd77::1", f"[{V6}]:{port}"), (V4, f"{V4}:{port}")):
                with self.subTest(f"{user} {source} {port}"):
                    text = self.ubfctl("explain", "--as", user, "--from", source, "--to", to)
                    self.assertIn(f"so: {verdict}", text)
                    self.assertIn("connector: supposed", text)

    def test_words_that_make_no_flow(self):
        for words in (("--from", "nonsense", "--to", f"{V4}:1"), ("--from", f"{V6}:1", "--to", f"{V4}:1"),
                      ("--from", "10.77.0.1:1", "--to", f"[{V6}]:1"),
                      ("--from", "10.77.0.1:99999", "--to", f"{V4}:1")):
            self.assertIn("explain takes two endpoints", self.ubfctl("explain", *words, status=1))
        self.assertIn("--to", self.ubfctl("explain", "--from", "10.77.0.1:1", status=EX_USAGE))


if __name__ == "__main__":
    case.main()
