#!/usr/bin/python3
"""IPoIB: a scope of its own, no connection tracking, and UDP by a set that ubfd fills. decision_test.py and
bypass_test.py test the decision and the ways around it with --fabric."""

import contextlib
import pathlib
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load, person  # noqa: E402
from lab.case import REFUSED, Counted, refused, wait_until  # noqa: E402
from lab.fabric import V4, V6  # noqa: E402
from lab.on_fabric import MORE, PORT, Fabric  # noqa: E402
from lab.threads import refused_by_kernel, threads  # noqa: E402

ETHERNET = {"v4": case.V4, "v6": case.V6}
FABRIC = {"v4": V4, "v6": V6}


class Tracking(Fabric):
    def use(self):
        for family, address in FABRIC.items():
            for protocol in ("tcp", "udp"):
                self.talk("alice", address, protocol)
                self.assertEqual(self.person("bob", self.one).connect(protocol, address, PORT), refused(protocol, family))

    def test_is_not_done_on_the_fabric(self):
        self.use()
        self.assertEqual((self.tracked(self.one), self.tracked(self.two)), ([], []))

    def test_goes_on_where_other_rules_need_it(self):
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.configure(ubfd.settings | {"fabric": ubfd.settings["fabric"] | {"notrack": False}})
            ubfd.reload()
        self.use()
        self.assertNotEqual(self.tracked(self.two), [])

    def test_is_that_of_ethernet_where_the_fabric_is_nothing_special(self):
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.configure(ubfd.settings | {"fabric": ubfd.settings["fabric"] | {"enabled": False}})
            ubfd.reload()
        self.use()
        self.assertNotEqual(self.tracked(self.two), [])


class Udp(Fabric):
    settings = {"fabric": {"udp_timeout_s": 5}}

    def test_stays_in_the_kernel_as_long_as_packets_come(self):
        for address in FABRIC.values():
            _, client, seen = self.talk(address=address)
            with Counted(self.ubfd1) as counted1, Counted(self.ubfd2) as counted2:
                end = time.monotonic() + 7
                while time.monotonic() < end:
                    self.assertEqual(client.say(seen.handle), "hello")
                    time.sleep(0.05)
            self.assertEqual((counted1.reasons(), counted2.reasons()), ({}, {}))
            self.assertGreater(counted2["kernel.fabric_udp.packets"] + self.in_set(self.two, "fabric_udp4")
                               + self.in_set(self.two, "fabric_udp6"), 0)

    def test_is_asked_about_again_after_a_pause(self):
        _, client, seen = self.talk()
        self.assertEqual(self.in_set(self.two, "fabric_udp4"), 1)
        wait_until(lambda: self.in_set(self.two, "fabric_udp4") == 0, 20)  # its lease expires
        with Counted(self.ubfd2) as counted:
            self.assertEqual(client.say(seen.handle), "hello")
        self.assertEqual(counted.reasons(), {"same-user": 1})

    def test_may_come_in_fragments(self):
        for family, address in FABRIC.items():
            _, client, seen = self.talk(address=address)
            text = "x" * 8000  # four packets
            self.assertEqual(client.say(seen.handle, text), text)
            bob = self.person("bob", self.one)
            handle = bob.do(person.send_to, "udp", address, PORT, text)
            self.assertEqual(bob.do(person.outcome, handle), refused("udp", family))

    def test_goes_on_without_ubfd_and_nothing_new_begins(self):
        _, client, seen = self.talk()
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.kill()
        end = time.monotonic() + 7
        while time.monotonic() < end:
            self.assertEqual(client.say(seen.handle), "hello")
            time.sleep(0.2)
        for protocol in ("tcp", "udp"):
            self.assertEqual(client.connect(protocol, V4, PORT, timeout=0.9), refused(protocol, "v4"))

    def test_that_was_allowed_before_a_restart_is_decided_again(self):
        server, client, seen = self.talk()
        self.ubfd2.kill()
        self.dismiss(server)
        thief = self.person("bob", self.two)
        trap = thief.do(person.bound, "udp", V4, PORT)
        self.ubfd2.start()
        client.say(seen.handle, "a secret", timeout=0.05)
        self.assertIsNone(thief.do(person.received, trap, timeout=0.3))

    def test_answers_of_the_systems_services_need_no_ubfd(self):
        root = self.person("root", self.two)
        root.listen("udp", "::", 500)
        self.ubfd1.kill()
        for address in FABRIC.values():
            self.assertEqual(self.person("alice", self.one).connect("udp", address, 500), "connected")

    def test_a_privileged_port_is_no_way_in(self):
        """A privileged port sends to a user that has not sent to it."""
        root, alice = self.person("root", self.two), self.person("alice", self.one)
        handle = alice.do(person.bound, "udp", "10.78.0.1", PORT)
        sender = root.do(person.bound, "udp", V4, 500)
        for _ in range(3):
            root.do(person.send_from, sender, "10.78.0.1", PORT)
        self.assertIsNone(alice.do(person.received, handle, timeout=0.3))


class Full(Fabric):
    def fill(self, name, count):
        lines = ",".join(f"10.79.{number >> 16}.{number >> 8 & 255} . {1 + (number & 255)} . 10.78.0.2 . 9 timeout 1h"
                         for number in range(count))
        file = case.FOLDER / "elements.nft"
        file.write_text(f"add element inet ubf {name} {{ {lines} }}\n")
        self.two.run("nft", "-f", file)

    def test_set_falls_back_to_asking_and_is_counted(self):
        self.fill("fabric_udp4", 65536)
        with Counted(self.ubfd2) as counted:
            _, client, seen = self.talk()
            for _ in range(5):
                self.assertEqual(client.say(seen.handle), "hello")
            self.assertEqual(self.person("bob", self.one).connect("udp", V4, PORT), refused("udp", "v4"))
        self.assertEqual(counted.reasons(), {"same-user": 6, "different-user": 1})
        self.assertEqual(counted["verdicts_in_kernel.full"], 6)

    def test_set_of_what_carries_packets_falls_back_to_asking_too(self):
        self.fill("fabric_seen4", 65536)
        server, client, seen = self.talk()
        for _ in range(5):
            self.assertEqual(client.say(seen.handle), "hello")
        self.dismiss(server)
        wait_until(lambda: self.in_set(self.two, "fabric_udp4") == 0)


def send_to_many(address, count):
    """Sends a datagram to each of `count` ports, from one socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(True)
        for number in range(count):
            sock.sendto(b"x", (address.format(number >> 14), 8192 + (number & 16383)))


def send_again(handle, address, port, count):
    """Sends `count` datagrams. If a send fails because an earlier datagram was refused, it is repeated."""
    while count:
        with contextlib.suppress(OSError):
            person._sockets[handle].sendto(b"x", (address, port))  # pylint: disable=protected-access
            count -= 1


class Spray(Fabric):
    def test_by_one_user_leaves_room_for_the_answers_of_others(self):
        """The others' answers come from a privileged service: they pass since the kernel remembers the question."""
        self.one.run("ip", "route", "add", "10.80.0.0/16", "dev", "ib0")
        self.person("root", self.two).listen("udp", "::", 500)
        with Counted(self.ubfd1) as counted:
            self.person("bob", self.one).do(send_to_many, "10.80.0.{}", 300000)
        self.assertGreater(counted["kernel.sent_too_fast.packets"], 200000)
        self.assertEqual(counted["kernel.sent_full.packets"], 0)
        self.ubfd1.kill()
        self.assertEqual(self.person("alice", self.one).connect("udp", V4, 500), "connected")


class Denied(Fabric):
    """Flows that were denied a moment ago."""

    def known(self):
        return self.ubfd2.status()["verdicts_in_kernel"]["denied"]

    def test_is_refused_by_the_kernel(self):
        for address in (*ETHERNET.values(), *FABRIC.values()):
            self.person("alice", self.two).listen("udp", address, PORT)
            bob = self.person("bob", self.one)
            handle = bob.do(person.bound, "udp", "::" if ":" in address else "0.0.0.0", 0)
            bob.do(person.send_from, handle, address, PORT)
            wait_until(lambda: self.known() == 1)
            with self.subTest(address), Counted(self.ubfd2) as counted:
                before = self.counted_by_kernel(self.ubfd2, "denied_before")
                bob.do(send_again, handle, address, PORT, 100)
                wait_until(lambda: self.counted_by_kernel(self.ubfd2, "denied_before") == before + 100)
            self.assertEqual(counted.reasons(), {})
            self.dismiss(bob)
            wait_until(lambda: self.known() == 0)

    def test_is_nothing_to_who_has_the_port_next(self):
        for address in (case.V4, V4):
            self.person("alice", self.two).listen("udp", address, PORT)
            bob, alice = self.person("bob", self.one), self.person("alice", self.one)
            here = ("0.0.0.0", MORE)
            self.assertEqual(bob.connect("udp", address, PORT, bind=here), refused("udp", "v4"))
            self.dismiss(bob)
            wait_until(lambda: self.known() == 0, 2)
            self.assertEqual(alice.connect("udp", address, PORT, bind=here), "connected")
            self.dismiss(alice)

    def test_of_one_user_has_a_share_of_the_room(self):
        self.person("alice", self.two).listen("udp", V4, PORT)
        bob = self.person("bob", self.one, descriptors=1000)
        most = 0
        for count in range(20, 321, 20):
            for port in range(count - 20, count):
                bob.do(person.send_to, "udp", V4, PORT, bind=("0.0.0.0", 20000 + port))
            wait_until(lambda count=count: self.ubfd2.status()["reasons"]["different-user"] >= count)
            most = max(most, self.known())
        self.assertGreater(most, 100)  # of 256; in a slow guest the first expire before the last arrive
        self.assertLessEqual(most, 256)
        self.assertLessEqual(self.in_set(self.two, "denied4"), 256)

    def test_is_asked_about_again_after_a_reload(self):
        self.person("alice", self.two).listen("udp", V4, PORT)
        bob = self.person("bob", self.one)
        seen = bob.connect("udp", V4, PORT)
        self.assertEqual(seen, REFUSED["v4"])
        self.ubfd2.configure(self.ubfd2.settings | {"policy": {"exempt_connectors": ["bob"]}})
        self.ubfd1.configure(self.ubfd1.settings | {"policy": {"exempt_connectors": ["bob"]}})
        self.ubfd1.reload()
        self.ubfd2.reload()
        wait_until(lambda: bob.say(seen.handle, timeout=0.2) == "hello", 2)


class ExemptListener(Fabric):
    settings = {"policy": {"exempt_listeners": ["service"]}}

    def serve(self, user, address, port=PORT):
        server = self.person(user, self.two)
        server.listen("tcp", address, port, backlog=1024)
        return server

    def known(self):
        return self.ubfd2.status()["verdicts_in_kernel"]["exempt_listeners"]

    def learn(self, *addresses):
        """Returns when the kernel knows the listener at all of these addresses."""
        for count, address in enumerate(addresses, self.known() + 1):
            self.assertEqual(self.person("carol", self.one).connect("tcp", address, PORT), "connected")
            wait_until(lambda count=count: self.known() == count)

    def test_is_nobody_asked_about(self):
        everywhere = (*ETHERNET.values(), *FABRIC.values())
        self.serve("service", "::")
        self.learn(*everywhere)
        with Counted(self.ubfd2) as counted:
            for address in everywhere:
                self.assertEqual(self.person("carol", self.one).do(load.ask_each, "tcp", address, PORT, 10),
                                 {"connected": 10})
        self.assertEqual(counted.reasons(), {})
        self.assertEqual(counted["kernel.exempt_listener.packets"], 40)

    def test_is_followed_by_one_that_is_not(self):
        server = self.serve("service", "::")
        self.learn(case.V4, V4, V6)
        self.dismiss(server)
        self.serve("alice", "::")
        for address in (case.V4, V4, V6):
            self.assertEqual(self.person("carol", self.one).connect("tcp", address, PORT),
                             "EHOSTUNREACH")
        self.assertEqual(self.known(), 0)

    def test_is_followed_by_one_that_is_not_though_the_kernel_could_not_be_told(self):
        """No memory, or another program's transaction: the kernel is told again."""
        server = self.serve("service", "::")
        self.learn(case.V4, V4, V6)
        with Counted(self.ubfd2) as counted:
            with refused_by_kernel(*threads(self.ubfd2.process, "listeners"), "sendto", "ENOBUFS") as wait:
                self.dismiss(server)
                wait()
            alice = self.serve("alice", "::")
            for address in (case.V4, V4, V6):
                wait_until(lambda address=address: self.person("carol", self.one).connect("tcp", address, PORT) ==
                           "EHOSTUNREACH", 5)
        self.assertEqual(counted["flows_not_ended"], 1)
        self.assertEqual(self.known(), 0)
        self.dismiss(alice)
        self.serve("service", "::")
        self.learn(case.V4)  # and the kernel is told of the next

    def test_has_a_neighbour_on_another_address(self):
        self.serve("service", V4)
        self.serve("alice", case.V4)
        self.learn(V4)
        self.assertEqual(self.person("carol", self.one).connect("tcp", case.V4, PORT), REFUSED["v4"])
        self.assertEqual(self.person("carol", self.one).connect("tcp", V4, PORT), "connected")

    def test_is_exempt_no_more_after_a_reload(self):
        self.serve("service", "::")
        self.learn(V4)
        self.ubfd2.configure({"policy": {}} | {key: value for key, value in self.ubfd2.settings.items()
                                              if key != "policy"})
        self.ubfd2.reload()
        wait_until(lambda: self.known() == 0, 2)
        self.assertEqual(self.person("carol", self.one).connect("tcp", V4, PORT), REFUSED["v4"])

    def test_is_told_apart_from_its_connections(self):
        """When a connection ends, the kernel still knows the listener, and ubfd has no work."""
        self.serve("service", V4)
        self.learn(V4)
        self.assertEqual(self.person("carol", self.one).do(load.ask_each, "tcp", V4, PORT, 200), {"connected": 200})
        self.assertEqual(self.known(), 1)


def open_fast(address, port, text=b"hello"):
    """Sends data in the SYN, if the server gave its cookie before. Returns the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):  # the socket must block, or sendto() can't wait
            sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 2, 0))
        try:
            sock.sendto(text, socket.MSG_FASTOPEN, (address, port))
            return sock.recv(100).decode()
        except OSError as error:
            return person._errno_name(error)  # pylint: disable=protected-access


def let_open_fast(handle):
    person._sockets[handle].setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)  # pylint: disable=protected-access


class FastOpen(Fabric):
    def test_is_gated_like_every_beginning(self):
        for node in (self.one, self.two):
            node.set_sysctl("net.ipv4.tcp_fastopen", "3")
        server, alice = self.person("alice", self.two), self.person("alice", self.one)
        server.do(let_open_fast, server.listen("tcp", V4, PORT))
        for _ in range(3):
            self.assertEqual(alice.do(open_fast, V4, PORT), "hello")
        used = self.two.run("nstat", "-az", "TcpExtTCPFastOpenPassive")
        self.assertGreater(int(used.split("TCPFastOpenPassive")[1].split()[0]), 0)
        with Counted(self.ubfd2) as counted:
            for _ in range(3):
                self.assertEqual(self.person("bob", self.one).do(open_fast, V4, PORT), REFUSED["v4"])
        self.assertEqual(counted.reasons(), {"different-user": 3})


if __name__ == "__main__":
    case.main()
