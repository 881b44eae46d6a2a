#!/usr/bin/python3
"""The examples of docs/roles: each is loaded on a node of that role, and keeps its promise."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import REFUSED, V4, TwoNodes  # noqa: E402

ROLES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "roles"
PORT = 9001


class Roles(TwoNodes):
    def take_role(self, role, node2, **more):
        """Node 1 is the head node, and node 2 has the role, at that address of the example. uids stand for people."""
        text = (ROLES / f"{role}.toml").read_text().replace("10.0.0.1\"", "10.77.0.1\"").replace(node2, V4)
        for number, user in more.items():
            text = text.replace(f'"{number.strip("u")}@', f'"{case.USERS[user]}@')
        drop_in = self.ubfd2.config.with_suffix(".toml.d") / "10-role.toml"
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text(text)
        self.ubfd2.reload()
        self.assertIn("good", self.ubfd2.ctl("check-config", self.ubfd2.config).stdout)

    def reaches(self, user, node=None, port=PORT):
        return self.person(user, node or self.one).connect("tcp", V4, port)

    def test_every_example_has_its_test(self):
        tested = {name.split("_")[2] for name in dir(self) if name.startswith("test_a_")}
        self.assertEqual({file.stem for file in ROLES.glob("*.toml")}, tested)

    def test_a_compute_node(self):
        self.take_role("compute", "10.0.0.9", u33="monitor")
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.assertEqual(self.reaches("root"), "connected")
        self.assertEqual(self.reaches("alice"), "connected")
        self.assertEqual(self.reaches("bob"), REFUSED["v4"])
        self.assertEqual(self.reaches("monitor"), REFUSED["v4"])  # who is the portal's at the portal alone
        self.assertEqual(self.reaches("root", self.two), REFUSED["v4"])  # not the head node's

    def test_a_login_node(self):
        self.take_role("login", "10.0.0.9")
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.assertEqual(self.reaches("root"), "connected")
        self.assertEqual(self.reaches("bob"), REFUSED["v4"])

    def test_a_portal(self):
        self.take_role("portal", "10.0.0.5", u33="service")
        self.person("service", self.two).listen("tcp", "::", PORT)
        self.person("alice", self.two).listen("tcp", "::", PORT + 1)
        self.assertEqual(self.reaches("bob"), "connected")
        self.assertEqual(self.reaches("bob", port=PORT + 1), REFUSED["v4"])

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
