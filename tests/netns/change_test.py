#!/usr/bin/python3
"""The ruleset changes while packets arrive: each packet meets the old ruleset or the new one, never less. Before Linux
6.18, a lookup in a set that changes in place can miss elements."""

import contextlib
import json
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load  # noqa: E402
from lab.case import PEERS, V4, V6, TwoNodes  # noqa: E402

PORT = 9001
MANY = [f"10.200.{i}.{j}/32" for i in range(8) for j in range(0, 200, 2)]  # makes a change take its time


def read_meanwhile(address, port, seconds):
    """Connects and reads, over and over. Returns the number of tries, and of answers."""
    end, tries, count = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        tries += 1
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=0.3) as sock:
            sock.sendall(b"hello")
            count += sock.recv(100) == b"hello"
    return tries, count


class Changed(TwoNodes):
    settings = {"peers": {"ranges": PEERS + MANY}}
    # Each configuration watches the port, knows the nodes, and has other elements in nearly every set.
    OTHERS = ({"peers": {"ranges": PEERS + MANY[::2]}, "scope": {"ports": ["1025-65535"], "exempt_ports": [8080]}},
              {"peers": {"ranges": PEERS + MANY}, "scope": {"ports": ["9001-9002", "2000-3000"], "interfaces": ["lo", "e*"]}},
              {"peers": {"ranges": PEERS}, "scope": {"ports": ["8000-10000"], "interfaces": ["lo", "eth0"]}},
              {"peers": {"ranges": PEERS + MANY}, "scope": {"except_interfaces": ["virbr*"], "protocols": ["esp"]}})

    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "::", PORT, backlog=4096)
        self.alice = self.person("alice", self.one)

    def sets(self):
        return [item["set"]["name"] for item in json.loads(self.two.run("nft", "-j", "list", "sets"))["nftables"]
                if item.get("set", {}).get("table") == "ubf"]

    def change_meanwhile(self, change, seconds=6):
        """Returns what alice's connections saw, and the number of answers that bob and carol read."""
        ways = [(self.person("bob", self.one), V4), (self.person("bob", self.one), V6),
                (self.person("carol", self.two), "127.0.0.1"), (self.person("carol", self.two), "::1")]
        results = [somebody.begin(read_meanwhile, address, PORT, seconds) for somebody, address in ways]
        steadily = self.alice.begin(load.connect_steadily, V4, PORT, 50, seconds)
        end = time.monotonic() + seconds - 1
        while time.monotonic() < end:
            change()
        read = [result() for result in results]
        self.assertTrue(all(tries > 20 for tries, _ in read), read)
        return steadily(), [count for _, count in read]

    def test_nobody_gets_in_or_is_kept_out_by_a_reload(self):
        before, turn = sorted(self.sets()), 0

        def change():
            nonlocal turn
            self.ubfd2.configure({**self.ubfd2.settings, **self.OTHERS[turn % len(self.OTHERS)]})
            self.ubfd2.reload()
            turn += 1

        seconds = 12  # a guest under this load may need some for each change
        self.assertEqual(self.change_meanwhile(change, seconds), ({"connected": 50 * seconds}, [0, 0, 0, 0]))
        self.assertGreater(turn, 1)
        self.assertEqual(self.ubfd2.status()["ruleset"]["state"], "installed")
        self.assertEqual(self.ubfd2.status()["ruleset"]["repairs"], 0)
        self.ubfd2.configure({**self.ubfd2.settings, "scope": {}, **self.settings})
        self.ubfd2.reload()
        after = sorted(name.removesuffix("_2") for name in self.sets())
        self.assertEqual([name for name in after if "interfaces" not in name], [name for name in before if "interfaces" not in name])

    def test_what_is_the_same_stays_as_it_is(self):
        def handles():
            return {item["set"]["name"]: item["set"]["handle"]
                    for item in json.loads(self.two.run("nft", "-j", "list", "sets"))["nftables"]
                    if item.get("set", {}).get("table") == "ubf"}

        before = handles()
        self.ubfd2.configure({**self.ubfd2.settings, "scope": {"ports": ["1025-65535"]}})
        self.ubfd2.reload()
        after = handles()
        self.assertEqual(set(before) - set(after), {"ports"})
        self.assertEqual(set(after) - set(before), {"ports_2"})
        self.assertTrue(all(after[name] == handle for name, handle in before.items() if name != "ports"))
        # A set that another program changed is replaced as well: ubfd compares the elements.
        self.two.run("nft", "add element inet ubf ports_2 { 700 }")
        self.ubfd2.wait_for_log("elements of set ports_2")
        self.assertIn("ports", self.sets())
        self.assertNotIn("ports_2", self.sets())


if __name__ == "__main__":
    case.main()
