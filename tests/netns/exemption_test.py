#!/usr/bin/python3
"""Exemptions at some addresses only. Elsewhere, their users get no exemption."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import V4, V6, WAYS, Counted, TwoNodes, refused, wait_until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT, OTHER = 9001, 9002
HOME = {"v4": "10.77.0.1", "v6": "fd77::1"}  # of node1
FAMILIES = (("v4", V4), ("v6", V6))
PROTOCOLS = ("tcp", "udp")


class Connector(TwoNodes):
    """Root and the monitor are exempt on node1, and there alone."""

    settings = {"policy": {"exempt_connectors": [f"{user}@{address}" for user in ("monitor", "root")
                                                 for address in ("10.77.0.0/31", "fd77::1")]}}

    def serve(self, user, node, port=PORT):
        server = self.person(user, node)
        for protocol in PROTOCOLS:
            server.listen(protocol, "::", port)
        return server

    def test_may_connect_from_the_address_that_is_named(self):
        self.serve("alice", self.two)
        for user in ("monitor", "root"):
            client = self.person(user, self.one)
            for protocol in PROTOCOLS:
                for _, address in FAMILIES:
                    with Counted(self.ubfd2) as counted:
                        self.assertEqual(client.connect(protocol, address, PORT), "connected")
                    self.assertEqual(set(counted.reasons()), {"exempt-connector"}, address)

    def test_is_nobody_special_on_another_node(self):
        self.serve("alice", self.one)
        for user in ("monitor", "root"):
            client = self.person(user, self.two)
            for protocol in PROTOCOLS:
                for family, address in HOME.items():
                    self.assertEqual(client.connect(protocol, address, PORT), refused(protocol, family), user)

    def test_is_nobody_special_on_the_listeners_own_node(self):
        self.serve("alice", self.two)
        client = self.person("root", self.two)
        for way in WAYS:
            if not way.across:
                self.assertEqual(client.connect(way.protocol, way.address, PORT), way.refused, str(way))

    def test_may_connect_on_its_own_node_by_the_address_that_is_named_alone(self):
        self.serve("alice", self.one)
        client = self.person("root", self.one)
        for protocol in PROTOCOLS:
            for family, address in HOME.items():
                self.assertEqual(client.connect(protocol, address, PORT), "connected", address)
            for family, address in (("v4", "127.0.0.1"), ("v6", "::1")):
                self.assertEqual(client.connect(protocol, address, PORT), refused(protocol, family), address)

    def test_is_answered_and_answers_nobody(self):
        """An answer travels the other way, but the user that began is still the connector."""
        root = self.person("root", self.two)
        ours = root.do(person.bound, "udp", V4, PORT)
        alice = self.person("alice", self.one)
        theirs = alice.do(person.bound, "udp", HOME["v4"], PORT)
        # Both send first, so each node takes the other's datagram for an answer.
        root.do(person.begin, ours, HOME["v4"], PORT)
        alice.do(person.begin, theirs, V4, PORT)
        alice.say(theirs, "an answer", timeout=0.1)
        self.assertIsNone(root.do(person.received, ours, timeout=0.3))
        root.say(ours, "let me in", timeout=0.1)
        self.assertIsNone(alice.do(person.received, theirs, timeout=0.3))

    def test_is_decided_again_by_where_it_is(self):
        self.ubfd2.configure({**self.ubfd2.settings, "policy": {"exempt_connectors": ["root"]}})
        self.ubfd2.reload()
        self.ubfd2.wait_for_log("root of every node")
        self.serve("alice", self.two)
        near, far = self.person("root", self.two), self.person("root", self.one)
        flows = [(client, protocol, client.connect(protocol, V4, PORT)) for client in (near, far)
                 for protocol in PROTOCOLS]
        self.assertEqual([seen for _, _, seen in flows], ["connected"] * 4)
        self.ubfd2.configure({**self.ubfd2.settings, **self.settings})
        self.ubfd2.reload()
        wait_until(lambda: self.ubfd2.status()["flows_ended"] == 2)
        for client, protocol, seen in flows:
            answer = client.say(seen.handle, "still there?", timeout=0.5)
            if client is far:
                self.assertEqual(answer, "still there?", protocol)
            else:
                self.assertNotEqual(answer, "still there?", protocol)

    def test_is_explained_as_it_is_decided(self):
        self.serve("alice", self.two)
        self.serve("alice", self.one)
        for client, address, ubfd, reason in ((self.one, V4, self.ubfd2, "exempt-connector"),
                                              (self.two, HOME["v4"], self.ubfd1, "different-user")):
            local = self.person("root", client)
            bound = local.do(person.bound, "udp", HOME["v4"] if client is self.one else V4, OTHER)
            local.do(person.connect_bound, bound, address, PORT)
            local.do(person.send_from, bound, address, PORT)  # its node vouches only for datagrams that were sent
            source, port = local.do(person.local_address, bound)
            answer = ubfd.ask(command="explain", protocol="udp", **{"from": f"{source}:{port}", "to": f"{address}:{PORT}"})
            self.assertEqual(answer["verdict"]["reason"], reason, answer)


class Everywhere(TwoNodes):
    """Root of every node is exempt: valid, but probably a mistake."""

    settings = {"policy": {"exempt_connectors": ["root"]}}
    words = "policy.exempt_connectors: root of every node may connect to everybody"

    def test_is_warned_of_at_start_in_status_and_by_check_config(self):
        self.ubfd2.wait_for_log(self.words)
        self.assertIn(self.words, " ".join(self.ubfd2.status()["warnings"]))
        ubfctl = case.build / "daemon" / "ubfctl"
        self.assertIn(f"warning: {self.words}", self.two.run(ubfctl, "check-config", self.ubfd2.config))
        answer = json.loads(self.two.run(ubfctl, "--json", "check-config", self.ubfd2.config))
        self.assertEqual((answer["ok"], len(answer["warnings"])), (True, 1))
        self.assertEqual(json.loads(self.two.run(ubfctl, "--json", "check-config", ROOT / "docs" / "ubfd.toml"))
                         ["warnings"], [])


class Listener(TwoNodes):
    """Every user may connect to the service at one address of node2."""

    settings = {"policy": {"exempt_listeners": [f"service@{V4}"]}}

    def test_is_open_at_the_address_that_is_named_alone(self):
        for node in (self.one, self.two):
            server = self.person("service", node)
            for protocol in PROTOCOLS:
                server.listen(protocol, "::", PORT)
        across, near, back = (self.person("carol", node) for node in (self.one, self.two, self.two))
        for _ in range(2):  # the second time, the kernel knows the listener
            for protocol in PROTOCOLS:
                for client in (across, near):
                    self.assertEqual(client.connect(protocol, V4, PORT), "connected")
                    self.assertEqual(client.connect(protocol, V6, PORT), refused(protocol, "v6"))
                self.assertEqual(near.connect(protocol, "127.0.0.1", PORT), refused(protocol, "v4"))
                self.assertEqual(near.connect(protocol, "::1", PORT), refused(protocol, "v6"))
                for family, address in HOME.items():
                    self.assertEqual(back.connect(protocol, address, PORT), refused(protocol, family))


class Kernel(TwoNodes):
    """Sockets of the kernel: the UDP ports of VXLAN tunnels. One port is exempt at one address."""

    settings = {"policy": {"kernel": [f"udp/4789@{V4}"]}}

    def setUp(self):
        super().setUp()
        for node in (self.one, self.two):
            for number, port in enumerate((4789, 4790)):
                node.run("ip", "link", "add", f"vx{number}", "type", "vxlan", "id", str(number + 5), "dstport",
                         str(port), "dev", "lo")
                node.run("ip", "link", "set", f"vx{number}", "up")

    def reason(self, ubfd, node, address, port):
        """The reason for the verdict on a datagram of bob's."""
        with Counted(ubfd) as counted:
            self.person("bob", node).do(person.send_to, "udp", address, port)
            wait_until(lambda: sum(ubfd.status()["reasons"].values()) > sum(counted._before["reasons"].values()))
        return set(counted.reasons())

    def test_is_open_at_the_port_and_address_that_are_named_alone(self):
        for node in (self.one, self.two):
            self.assertEqual(self.reason(self.ubfd2, node, V4, 4789), {"exempt-listener"})
            self.assertEqual(self.reason(self.ubfd2, node, V4, 4790), {"different-user"})
        self.assertEqual(self.reason(self.ubfd2, self.two, "127.0.0.1", 4789), {"different-user"})
        self.assertEqual(self.reason(self.ubfd1, self.two, HOME["v4"], 4789), {"different-user"})


if __name__ == "__main__":
    case.main()
