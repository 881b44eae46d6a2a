"""For tests of flows that are allowed, and of their end: opens them, lists them, and sees whether they go on."""

import json
import subprocess

from . import case
from .case import PROJ, V4, wait_until
from .labels import OwnState

PORT, SHARED, MORE, SINK = 9001, 9002, 9003, 9004


class Flows(OwnState):
    def ubfctl(self, *words, status=0, ubfd=None):
        """Returns the output, or the error message."""
        ubfd = ubfd or self.ubfd2
        process = ubfd.node.start(case.build / "daemon" / "ubfctl", "--socket", ubfd.socket, *words,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, status, errors)
        return errors if status else output

    def flows(self, *words):
        return json.loads(self.ubfctl("flows", "--json", *words))["flows"]

    def reload_with(self, ubfd=None, **sections):
        """Reloads ubfd with these settings: that of the listeners' node by default."""
        self.assertIn("reloaded ", (ubfd or self.ubfd2).reload_with(**sections))

    def open(self, user, port, address=V4, protocol="tcp", node=None):
        """Opens a flow, and returns an object that can tell whether it is still open."""
        somebody = self.person(user, node or self.one)
        seen = somebody.connect(protocol, address, port)
        self.assertEqual(seen, "connected")
        return Open(somebody, seen, protocol, address, port)

    def assert_ends(self, *flows):
        for flow in flows:
            wait_until(lambda f=flow: f.try_it() != "hello", 5, f"the end of {flow.text}")

    def assert_goes_on(self, *flows):
        for flow in flows:
            self.assertEqual(flow.try_it(), "hello", flow.text)

    def assert_ended_in_log(self, *words):
        wait_until(lambda: any(" ended " in line and all(word in line for word in words)
                               for line in self.ubfd2.log().splitlines()), 3, f"{words} in {self.ubfd2.log()}")


class Open:
    def __init__(self, somebody, seen, protocol, address, port):
        self.person, self.handle = somebody, seen.handle
        def text(host, number):
            return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
        self.source, self.destination = text(*seen.local), text(address, port)
        self.text = f"{protocol} {self.source} -> {self.destination}"

    def try_it(self):
        return self.person.say(self.handle, timeout=0.3)


class Servers(Flows):
    """alice's servers: one on PORT, and one on SHARED under the group that bob is a member of."""

    def setUp(self):
        super().setUp()
        self.alice = self.person("alice", self.two)
        self.group = self.person("alice", self.two, group=PROJ)
        for protocol in ("tcp", "udp"):
            self.alice.listen(protocol, "::", PORT)
            self.group.listen(protocol, "::", SHARED)
