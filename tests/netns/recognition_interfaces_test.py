#!/usr/bin/python3
"""Recognition on interfaces of every kind, which come and go, and beside others' filters."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import V4, wait_until  # noqa: E402
from lab.node import Node, join  # noqa: E402
from lab.recognising import Recognising  # noqa: E402


class Interfaces(Recognising):
    def add(self, interface, *words, address):
        for index, node in enumerate((self.one, self.two)):
            node.run("ip", "link", "add", interface, *words)
            node.run("ip", "addr", "add", f"{address}.{index + 1}/24", "dev", interface)
            node.run("ip", "link", "set", interface, "up")

    def start_daemons(self):
        ranges = case.PEERS + ["10.79.0.0/16"]
        self.ubfd1 = self.start_ubfd(self.one, {"peers": {"ranges": ranges}})
        self.ubfd2 = self.start_ubfd(self.two, {"peers": {"ranges": ranges}})

    def test_one_that_comes_gets_another_name_and_goes(self):
        join(self.one, self.two, [("10.79.1.1/24", "10.79.1.2/24")], interface="eth1")
        self.assert_recognised(address="10.79.1.2")
        self.two.run("ip", "link", "set", "eth1", "down")
        self.two.run("ip", "link", "set", "eth1", "name", "other0")
        self.two.run("ip", "link", "set", "other0", "up")
        self.assert_recognised(address="10.79.1.2")
        other = Node("other")
        self.two.run("ip", "link", "set", "other0", "netns", other.path)
        wait_until(lambda: self.ubfd2.status()["recognition"]["interfaces"] == 2)
        self.assertEqual(other.run("tc", "filter", "show", "dev", "other0", "ingress"), "")

    def test_a_vlan(self):
        try:
            self.add("eth0.5", "link", "eth0", "type", "vlan", "id", "5", address="10.79.5")
        except Exception as trouble:  # pylint: disable=broad-except
            self.leave_it_to_a_guest(str(trouble))
        self.assert_recognised(address="10.79.5.2")

    def put_on(self, kind, subnet):
        """Makes an interface of this kind on each node, over another interface that joins the nodes."""
        join(self.one, self.two, [(f"{subnet}.1/24", f"{subnet}.2/24")], interface="eth1")
        for index, node in enumerate((self.one, self.two)):
            try:
                node.run("ip", "link", "add", "upper0", "type", *kind)
            except Exception as trouble:  # pylint: disable=broad-except
                self.leave_it_to_a_guest(str(trouble))
            node.run("ip", "addr", "flush", "dev", "eth1")
            node.run("ip", "link", "set", "eth1", "down")
            node.run("ip", "link", "set", "eth1", "master", "upper0")
            node.run("ip", "addr", "add", f"{subnet}.{index + 1}/24", "dev", "upper0")
            for interface in ("eth1", "upper0"):
                node.run("ip", "link", "set", interface, "up")
        wait_until(lambda: "bpf" in self.filters(interface="upper0") and not self.filters(interface="eth1"))

    # The packet arrives twice: at the lower interface, and at the one with the address, which alone has the filter.

    def test_a_bond(self):
        self.put_on(("bond", "mode", "active-backup", "miimon", "10"), "10.79.6")
        self.assert_recognised(address="10.79.6.2")

    def test_a_bridge(self):
        self.put_on(("bridge",), "10.79.7")
        self.assert_recognised(address="10.79.7.2")

    def test_others_filters_go_on_and_ours_go_with_us(self):
        try:
            self.two.run("tc", "qdisc", "add", "dev", "lo", "clsact")
        except Exception:  # pylint: disable=broad-except # ubfd has made it
            pass
        self.two.run("tc", "filter", "add", "dev", "eth0", "ingress", "prio", "5", "protocol", "all", "u32", "match",
                     "u32", "0", "0", "flowid", "1:1")
        self.assertEqual(self.ubfd2.status()["recognition"]["interfaces"], 2)
        self.assert_asked()  # the other filter passes all packets before ours runs
        self.assertIn("recognise", self.filters())
        self.ubfd2.stop()
        self.assertNotIn("recognise", self.filters())
        self.assertIn("u32", self.filters())
        self.assertNotIn("clsact", self.two.run("tc", "qdisc", "show", "dev", "lo"))

    def test_what_a_killed_ubfd_left_goes_with_the_next(self):
        self.ubfd2.kill()
        self.assertIn("recognise", self.filters())
        self.ubfd2.start()
        self.assert_recognised(address=V4)
        self.ubfd2.stop()
        for interface in ("eth0", "lo"):
            self.assertNotIn("clsact", self.two.run("tc", "qdisc", "show", "dev", interface))

    def test_one_that_somebody_takes_off_is_put_back(self):
        self.two.run("tc", "qdisc", "del", "dev", "eth0", "clsact")
        self.two.run("nft", "flush", "set", "inet", "ubf", "recognised")
        self.assert_asked()
        wait_until(lambda: "recognise" in self.filters(), 15)
        self.assert_recognised()


if __name__ == "__main__":
    case.main()
