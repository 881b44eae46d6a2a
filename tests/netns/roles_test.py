#!/usr/bin/python3
"""The examples of docs/roles: each is loaded on a node of that role, and keeps its promise."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import REFUSED, V4, TwoNodes  # noqa: E402
from lab.portal import ask_ubfd  # noqa: E402

ROLES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "roles"
PORT = 9001
HERE = "10.77.0.1"
SPEAKS_FOR = f'for = ["{case.USERS["alice"]}-{case.USERS["carol"]}"]\n'


class Roles(TwoNodes):
    def take_role(self, role, node2, **more):
        """Node 1 is the head node and the portal, and node 2 has the role, at that address of the example. uids stand
        for people."""
        text = (ROLES / f"{role}.toml").read_text().replace(node2, V4)
        for address in ("10.0.0.1", "10.0.0.5"):
            text = text.replace(f'{address}"', f'{HERE}"')
        if "users =" in text:
            text += SPEAKS_FOR
        for number, user in more.items():
            number = number.strip("u")
            for end in ("@", '"'):
                text = text.replace(f'"{number}{end}', f'"{case.USERS[user]}{end}')
        self.drop_in(self.ubfd2, text)

    def drop_in(self, ubfd, text):
        file = ubfd.config.with_suffix(".toml.d") / "10-role.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        ubfd.reload()
        self.assertIn("good", ubfd.ctl("check-config", ubfd.config).stdout)

    def reaches(self, user, node=None, port=PORT):
        return self.person(user, node or self.one).connect("tcp", V4, port)

    def assert_only_who_asked_connects(self, user, node):
        """The user is a portal's, on that node; alice's server is on node 2."""
        portal = self.person(user, node)
        self.assertEqual(portal.connect("tcp", V4, PORT), REFUSED["v4"])
        for person, allowed in (("bob", False), ("alice", True)):
            question = {"user": person, "asker": case.USERS[user], "pid": portal.pid, "target": f"{V4}:{PORT}"}
            answer, = ask_ubfd([question])
            self.assertEqual(answer["allowed"], allowed, answer)
        self.assertEqual(portal.connect("tcp", V4, PORT), "connected")
        self.assertEqual(portal.connect("tcp", V4, PORT), REFUSED["v4"])  # for one connection

    def test_every_example_has_its_test(self):
        tested = {name.split("_")[2] for name in dir(self) if name.startswith("test_a_")}
        self.assertEqual({file.stem for file in ROLES.glob("*.toml")}, tested)

    def test_a_compute_node(self):
        portal = (ROLES / "portal.toml").read_text().partition("[portal]")[2]
        self.drop_in(self.ubfd1, f"[portal]{portal}{SPEAKS_FOR}".replace('"33"', f'"{case.USERS["monitor"]}"'))
        self.take_role("compute", "10.0.0.9")
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.assertEqual(self.reaches("root"), "connected")
        self.assertEqual(self.reaches("alice"), "connected")
        self.assertEqual(self.reaches("bob"), REFUSED["v4"])
        self.assert_only_who_asked_connects("monitor", self.one)
        self.assertEqual(self.reaches("root", self.two), REFUSED["v4"])  # not the head node's

    def test_a_login_node(self):
        self.take_role("login", "10.0.0.9")
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.assertEqual(self.reaches("root"), "connected")
        self.assertEqual(self.reaches("bob"), REFUSED["v4"])

    def test_a_portal(self):
        self.take_role("portal", "10.0.0.5", u33="service")
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.assert_only_who_asked_connects("service", self.two)
        self.assertEqual(self.reaches("bob"), REFUSED["v4"])
        self.assertEqual(self.reaches("root"), "connected")

    def test_a_storage_node(self):
        self.take_role("storage", "10.0.0.20")
        self.person("root", self.two).listen("tcp", "::", 8003)
        self.person("root", self.two).listen("tcp", "::", PORT)
        self.assertEqual(self.reaches("bob", port=8003), "connected")
        self.assertEqual(self.reaches("bob"), REFUSED["v4"])

    def test_a_service_node(self):
        self.take_role("service", "10.0.0.30", u111="service", u112="monitor")
        self.person("service", self.two).listen("tcp", "::", PORT)
        self.person("monitor", self.two).listen("tcp", "::", PORT + 1)
        self.person("alice", self.two).listen("tcp", "::", PORT + 2)
        self.assertEqual(self.reaches("bob"), "connected")
        self.assertEqual(self.reaches("bob", port=PORT + 1), "connected")
        self.assertEqual(self.reaches("bob", port=PORT + 2), REFUSED["v4"])

    def test_a_gateway(self):
        self.take_role("gateway", "10.0.0.9")
        self.person("alice", self.two).listen("tcp", "::", 8443)
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.assertEqual(self.reaches("bob", port=8443), "connected")
        self.assertEqual(self.reaches("bob"), REFUSED["v4"])


if __name__ == "__main__":
    case.main()
