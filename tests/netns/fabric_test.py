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
from lab import case, person  # noqa: E402
from lab.case import PROJ, REFUSED, Counted, refused, wait_until  # noqa: E402
from lab.fabric import V4, V6, TwoNodesOnFabric  # noqa: E402
from lab.threads import refused_by_kernel, threads  # noqa: E402

PORT, MORE = 9001, 9002
ETHERNET = {"v4": case.V4, "v6": case.V6}
FABRIC = {"v4": V4, "v6": V6}
ROCE = 4791


class Fabric(TwoNodesOnFabric):
    def tracked(self, node):
        """The flows over the fabric that the kernel tracks."""
        listing = node.run("sh", "-c", "conntrack -L 2>/dev/null; conntrack -L -f ipv6 2>/dev/null")
        return [line for line in listing.splitlines() if "10.78.0." in line or "fd78::" in line]

    def in_set(self, node, name):
        """The number of elements in the set."""
        return node.run("nft", "list", "set", "inet", "ubf", name).count(" expires ")

    def counted_by_kernel(self, ubfd, name):
        return ubfd.status()["kernel"].get(name, {}).get("packets", 0)

    def talk(self, user="alice", address=V4, protocol="udp", port=PORT):
        """Starts two programs of this user, and returns them with the client's view."""
        server, client = self.person(user, self.two), self.person(user, self.one)
        server.listen(protocol, address, port)
        seen = client.connect(protocol, address, port)
        self.assertEqual(seen, "connected")
        return server, client, seen


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
                self.assertEqual(self.person("carol", self.one).do(person.ask_each, "tcp", address, PORT, 10),
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
        self.assertEqual(self.person("carol", self.one).do(person.ask_each, "tcp", V4, PORT, 200), {"connected": 200})
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


class Management(Fabric):
    """ident for the fabric's addresses goes over the management network."""

    settings = {"fabric": {"management": {"10.78.0.0/24": "10.77.0.0/24", "fd78::/64": "fd77::/64"}}}

    def setUp(self):
        super().setUp()
        for node in (self.one, self.two):
            node.run("nft", "add table inet block; add chain inet block c { type filter hook prerouting priority -400; "
                            "}; add rule inet block c iifname ib0 udp dport 1017 counter drop")

    def test_answers_for_the_fabric(self):
        for family, address in FABRIC.items():
            for protocol in ("tcp", "udp"):
                self.talk("alice", address, protocol)
                self.assertEqual(self.person("bob", self.one).connect(protocol, address, PORT), refused(protocol, family))
        self.assertIn("packets 0 ", self.two.run("nft", "list", "chain", "inet", "block", "c"))

    def test_tells_of_sockets_that_are_gone(self):
        server, client = self.person("alice", self.two), self.person("alice", self.one)
        handle = server.do(person.bound, "udp", V4, PORT)
        sender = client.do(person.bound, "udp", "10.78.0.1", MORE)
        client.do(person.send_from, sender, V4, PORT)
        self.assertEqual(server.do(person.received, handle), "hello")
        client.close(sender)
        time.sleep(0.4)
        thief = self.person("bob", self.one)
        forged = thief.do(person.bound, "udp", "10.78.0.1", MORE)
        for _ in range(5):
            thief.do(person.send_from, forged, V4, PORT, "a forgery")
        self.assertIsNone(server.do(person.received, handle, timeout=0.3))


class Partition(Fabric):
    """ib0 is in the partition 0x8001, ib0.8002 in 0x8002."""

    settings = {"fabric": {"pkeys": ["0x8002"]},
                "policy": {"labels": {"pkey:0x8002": {"allow": ["alice", "bob"]}}}}
    CHILD = [("10.79.0.1/24", "10.79.0.2/24")]

    def setUp(self):
        super().setUp()
        self.join_by_fabric(self.CHILD, interface="ib0.8002", pkey=0x8002)

    def start_ubfd(self, node, settings=None, **options):
        settings = self.settings if settings is None else settings
        fabric = {"peers": ["10.78.0.0/24", "fd78::/64", "10.79.0.0/24"]}
        return super().start_ubfd(node, settings | {"fabric": settings["fabric"] | fabric}, **options)

    def test_is_a_label_of_both_ends_of_what_it_carries(self):
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two).listen(protocol, "0.0.0.0", PORT)
            bob, carol = self.person("bob", self.one), self.person("carol", self.one)
            with Counted(self.ubfd2) as counted:
                self.assertEqual(bob.connect(protocol, "10.79.0.2", PORT), "connected")
                self.assertEqual(bob.connect(protocol, V4, PORT), refused(protocol, "v4"))
                self.assertEqual(carol.connect(protocol, "10.79.0.2", PORT), refused(protocol, "v4"))
            self.assertEqual(counted.reasons(), {"same-label": 1, "different-user": 2})
        self.assert_denied(self.ubfd2, "connector=carol", "pkey:0x8002 in common, which counts for nothing")

    def test_is_one_that_ubfd_explains(self):
        self.person("alice", self.two).listen("tcp", "10.79.0.2", PORT)
        bob = self.person("bob", self.one)
        seen = bob.connect("tcp", "10.79.0.2", PORT)
        here = "{}:{}".format(*bob.do(person.local_address, seen.handle))
        answer = self.ubfd2.ask(command="explain", **{"from": here}, to=f"10.79.0.2:{PORT}", protocol="tcp")
        self.assertEqual(answer["verdict"]["reason"], "same-label", answer)
        self.assertIn("it comes in over the fabric: [fabric] holds", answer["steps"])


class Scope(Fabric):
    settings = {"fabric": {"ports": ["9000-9099"], "exempt_ports": ["tcp/9050"], "reasons": ["same-user"],
                           "exempt_listeners": ["service"]}}

    def see(self, user, port, fabric, ethernet):
        """The user's view over each network."""
        client = self.person(user, self.one)
        self.assertEqual((client.connect("tcp", V4, port), client.connect("tcp", case.V4, port)), (fabric, ethernet))

    def test_is_the_fabrics_own(self):
        denied = REFUSED["v4"]
        server = self.person("alice", self.two)
        for port in (9001, 9050, 8001):
            server.listen("tcp", "0.0.0.0", port)
        self.see("bob", 9001, denied, denied)
        self.see("bob", 9050, "connected", denied)
        self.see("bob", 8001, "connected", denied)
        self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", 9002)
        self.see("bob", 9002, denied, "connected")
        self.person("service", self.two).listen("tcp", "0.0.0.0", 9003)
        self.see("carol", 9003, "connected", denied)

    def test_holds_for_interfaces_that_come_later(self):
        self.fabric.close()
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        self.join_by_fabric([("10.78.0.1/24", "10.78.0.2/24")], interface="ib7")
        self.assertEqual(self.person("alice", self.one).connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), REFUSED["v4"])
        self.assertEqual(self.tracked(self.two), [])


class Roce(Fabric):
    def test_no_program_makes_datagrams_of_it(self):
        root = self.person("root", self.two)
        for address in (case.V4, case.V6, V4):
            trap = root.do(person.bound, "udp", address, ROCE)
            for user in ("bob", "root"):
                sender = self.person(user, self.one)
                with Counted(self.ubfd1) as counted:
                    handle = sender.do(person.bound, "udp", "::" if ":" in address else "0.0.0.0", 0)
                    sender.do(person.send_from, handle, address, ROCE)
                self.assertEqual(counted["kernel.roce_forged.packets"], 1)
            self.assertIsNone(root.do(person.received, trap, timeout=0.2))


if __name__ == "__main__":
    case.main()
