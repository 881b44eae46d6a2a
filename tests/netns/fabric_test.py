#!/usr/bin/python3
"""IPoIB: a scope of its own, no connection tracking, UDP on a set that ubfd fills."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import CLOSED, REFUSED, Counted, wait_until  # noqa: E402
from lab.fabric import V4, V6, TwoNodesOnFabric  # noqa: E402

PORT, MORE = 9001, 9002
ADDRESS = {"v4": V4, "v6": V6}


class Fabric(TwoNodesOnFabric):
    def connections(self, node):
        """How many the kernel tracks there."""
        return int(node.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))

    def elements(self, node, name):
        listing = node.run("nft", "list", "set", "inet", "ubf", name)
        return listing.partition("elements = {")[2].count(" expires ")

    def rule(self, ubfd, name):
        return ubfd.status()["kernel"].get(name, {}).get("packets", 0)


class Decision(Fabric):
    def test_is_that_of_every_interface(self):
        for family, address in ADDRESS.items():
            for protocol in ("tcp", "udp"):
                alice = self.person("alice", self.two)
                alice.listen(protocol, address, PORT)
                with self.subTest(f"{protocol} {family}"), Counted(self.ubfd2) as counted:
                    self.assertEqual(self.person("alice", self.one).connect(protocol, address, PORT), "connected")
                    self.assertEqual(self.person("bob", self.one).connect(protocol, address, PORT), REFUSED[family])
                    self.assertEqual(self.person("bob", self.one).connect(protocol, address, MORE), CLOSED)
                self.assertEqual(counted.reasons(), {"same-user": 1, "different-user": 1, "no-listener": 1})
                self.assert_denied(self.ubfd2, f"denied {protocol} ", f":{PORT} ", "connector=bob", "listener=alice")
                self.dismiss(alice)
        self.assertEqual(self.connections(self.two), self.connections(self.one))


if __name__ == "__main__":
    case.main()
