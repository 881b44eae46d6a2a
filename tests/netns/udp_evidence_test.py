#!/usr/bin/python3
"""Evidence about a port is no evidence about a packet: the port's owner did not send every datagram from it."""

import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import V4, V6, Counted, OnASwitch, TwoNodes, wait_until  # noqa: E402

PORT, SOURCE = 9001, 9501
ADDRESS = {"v4": "10.77.0.{}", "v6": "fd77::{}"}
IP_TRANSPARENT, IPV6_FREEBIND = 19, 78  # linux/in.h, linux/in6.h


def bind_free(address, port):
    """A UDP socket at an address that need not be this node's. Over IPv4 the kernel lets only root do this."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    sock.bind((address, port))
    return person.keep(sock)


class ThreeNodes(OnASwitch):
    """node1 is hostile: it runs no ubfd, and its users send under any address. node2 and node3 behave well."""

    hostile_runs_ubfd = False

    def setUp(self):
        super().setUp()
        self.ubfd2, self.ubfd3 = self.start_ubfd(self.two), self.start_ubfd(self.three)

    def forge(self, user, family, source=SOURCE):
        """Sends from node1 under node3's address."""
        forger = self.person(user if family == "v6" else "root", self.one)
        return forger, forger.do(bind_free, ADDRESS[family].format(3), source)

    def assert_kept_out(self, family, reason):
        server = self.person("alice", self.two)
        trap = server.do(person.bound, "udp", ADDRESS[family].format(2), PORT)
        forger, forged = self.forge("bob", family)
        with Counted(self.ubfd2) as counted:
            for _ in range(3):
                forger.do(person.send_from, forged, ADDRESS[family].format(2), PORT, "a forgery")
                self.assertIsNone(server.do(person.received, trap, timeout=0.3))
        self.assertEqual(set(counted.reasons()), {reason})
        forger.close(forged)
        server.close(trap)


class Forged(ThreeNodes):
    settings = {"policy": {"exempt_connectors": ["root"]}}

    def test_a_socket_at_the_node_named_vouches_for_nothing_that_it_has_not_sent(self):
        for family in ("v4", "v6"):
            for owner in ("alice", "root"):
                with self.subTest(f"{family} {owner}"):
                    decoy = self.person(owner, self.three)
                    handle = decoy.do(person.bound, "udp", ADDRESS[family].format(3), SOURCE)
                    self.assert_kept_out(family, "connector-unknown")
                    decoy.close(handle)

    def test_what_it_has_sent_to_somebody_else_is_no_evidence_either(self):
        for family in ("v4", "v6"):
            with self.subTest(family):
                decoy = self.person("alice", self.three)
                handle = decoy.do(person.bound, "udp", ADDRESS[family].format(3), SOURCE)
                judged = sum(self.ubfd2.status()["reasons"].values())
                decoy.do(person.send_from, handle, ADDRESS[family].format(2), PORT + 1)
                wait_until(lambda n=judged: sum(self.ubfd2.status()["reasons"].values()) > n)
                self.assert_kept_out(family, "connector-unknown")
                decoy.close(handle)

    def test_what_it_has_sent_itself_arrives(self):
        for family in ("v4", "v6"):
            with self.subTest(family):
                server, client = self.person("alice", self.two), self.person("alice", self.three)
                server.listen("udp", ADDRESS[family].format(2), PORT)
                seen = client.connect("udp", ADDRESS[family].format(2), PORT, bind=(ADDRESS[family].format(3), SOURCE))
                self.assertEqual(seen, "connected")

    def test_the_answer_from_a_node_that_was_spoken_to_arrives(self):
        """node3 asks about both directions: its own socket began, and node2's answers."""
        for family in ("v4", "v6"):
            with self.subTest(family):
                server, client = self.person("alice", self.two), self.person("alice", self.three)
                handle = server.do(person.bound, "udp", ADDRESS[family].format(2), PORT)
                sender = client.do(person.bound, "udp", ADDRESS[family].format(3), SOURCE)
                client.do(person.send_from, sender, ADDRESS[family].format(2), PORT)
                self.assertEqual(server.do(person.received, handle), "hello")
                server.do(person.send_from, handle, ADDRESS[family].format(3), SOURCE, "welcome")
                self.assertEqual(client.do(person.received, sender), "welcome")
                client.close(sender)
                server.close(handle)

    def test_nobody_is_told_who_has_a_port_that_sent_nothing(self):
        """A peer asks about a datagram that was never sent. The answer must not reveal the port's owner."""
        self.person("alice", self.three).do(person.bound, "udp", "10.77.0.3", SOURCE)
        self.person("alice", self.two).do(person.bound, "udp", "10.77.0.2", PORT)
        with Counted(self.ubfd3) as counted:
            answer = self.ubfd2.ask(command="explain", **{"from": f"10.77.0.3:{SOURCE}", "to": f"10.77.0.2:{PORT}",
                                                          "protocol": "udp"})
        self.assertEqual(answer["connector"]["kind"], "unknown", answer)
        self.assertEqual(counted["ident.no_evidence"], 1)


class SecondNetwork(TwoNodes):
    """A network outside the peers' ranges. If both ends send at once, each takes the other's datagrams for answers from
    outside."""

    second = [("10.99.0.1/24", "10.99.0.2/24"), ("fd99::1/64", "fd99::2/64")]

    def join_nodes(self):
        super().join_nodes()
        for number, node in enumerate((self.one, self.two)):
            for pair in self.second:
                node.run("ip", "addr", "add", pair[number], "dev", "eth0", *(["nodad"] if ":" in pair[number] else []))

    def link_local(self, node):
        for line in node.run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link").splitlines():
            return line.split()[3].split("/")[0]
        return None

    def places(self):
        yield "10.99.0.1", "10.99.0.2", ""
        yield "fd99::1", "fd99::2", ""
        yield self.link_local(self.one), self.link_local(self.two), "%eth0"
        yield "10.77.0.1", "10.99.0.2", ""  # from a listed address to an unlisted one
        yield "10.99.0.1", "10.77.0.2", ""  # and the reverse

    def punch(self, one, other, here, there, zone):
        ends = [(one, one.do(person.bound, "udp", here + zone, SOURCE), there, PORT),
                (other, other.do(person.bound, "udp", there + zone, PORT), here, SOURCE)]
        for _ in range(10):
            for somebody, handle, address, port in ends:
                somebody.do(person.send_from, handle, address + zone, port)
        seen = [somebody.do(person.received, handle, timeout=0.5) for somebody, handle, _, _ in ends]
        for somebody, handle, _, _ in ends:
            somebody.close(handle)
        return seen


class Beyond(SecondNetwork):
    def test_two_users_get_nothing_through(self):
        for here, there, zone in self.places():
            with self.subTest(f"{here} {there}"):
                one, other = self.person("carol", self.one), self.person("bob", self.two)
                self.assertEqual(self.punch(one, other, here, there, zone), [None, None])

    def test_it_is_refused_as_unlisted_and_said_so(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        for address in ("10.99.0.2", "fd99::2"):
            client = self.person("alice", self.one)
            self.assertNotEqual(client.connect("tcp", address, PORT, timeout=1), "connected")
        self.assert_denied(self.ubfd2, "reason=unlisted")

    def test_addresses_in_no_range_are_named_in_the_log_and_in_status(self):
        for ubfd, address in ((self.ubfd1, "10.99.0.1"), (self.ubfd2, "fd99::2")):
            ubfd.wait_for_log(address)
            self.assertTrue(any(address in warning for warning in ubfd.status()["warnings"]))
            self.assertFalse(any("fe80" in warning or "127.0.0.1" in warning for warning in ubfd.status()["warnings"]))

    def test_an_address_that_comes_later_is_named_too(self):
        self.two.run("ip", "addr", "add", "10.98.0.2/24", "dev", "eth0")
        self.ubfd2.wait_for_log("10.98.0.2", seconds=15)


class BeyondLetIn(SecondNetwork):
    """The same if the site allows flows from outside: neighbours on the link are not outside."""

    settings = {"policy": {"outside": "allow"}}

    def test_what_is_next_door_is_not_outside(self):
        for here, there, zone in list(self.places())[:4]:
            with self.subTest(f"{here} {there}"):
                one, other = self.person("carol", self.one), self.person("bob", self.two)
                self.assertEqual(self.punch(one, other, here, there, zone)[1], None)


class Leases(TwoNodes):
    """However a UDP flow loses its owner, another user's datagrams end within one lease."""

    LEASE = 30

    def begin_flow(self):
        server, client = self.person("alice", self.two), self.person("alice", self.one)
        handle = server.do(person.bound, "udp", V4, PORT)
        sender = client.do(person.bound, "udp", "10.77.0.1", SOURCE)
        client.do(person.send_from, sender, V4, PORT)
        self.assertEqual(server.do(person.received, handle), "hello")
        return server, handle, client, sender

    def assert_ends(self, sends, arrives):
        end = time.monotonic() + self.LEASE + 5
        came = 0
        while time.monotonic() < end:
            sends()
            if not arrives():
                print(f"{came} came through first", flush=True)
                return
            came += 1
        self.fail("it goes on for longer than a lease")

    def test_a_connector_that_was_replaced_while_its_ubfd_is_gone(self):
        server, handle, client, sender = self.begin_flow()
        self.ubfd1.kill()
        client.close(sender)
        self.one.run("nft", "delete", "table", "inet", "ubf")
        thief = self.person("bob", self.one)
        forged = thief.do(person.bound, "udp", "10.77.0.1", SOURCE)
        self.assert_ends(lambda: thief.do(person.send_from, forged, V4, PORT, "a forgery"),
                         lambda: server.do(person.received, handle, timeout=0.2))

    def test_a_listener_that_was_replaced_while_its_own_ubfd_is_gone(self):
        server, handle, client, sender = self.begin_flow()
        self.ubfd2.kill()
        server.close(handle)
        thief = self.person("bob", self.two)
        trap = thief.do(person.bound, "udp", V4, PORT)
        self.assert_ends(lambda: client.do(person.send_from, sender, V4, PORT, "a secret"),
                         lambda: thief.do(person.received, trap, timeout=0.2))

    def test_a_flow_goes_on_for_longer_than_its_first_lease(self):
        server, handle, client, sender = self.begin_flow()
        with Counted(self.ubfd2) as counted:
            end = time.monotonic() + self.LEASE + 3
            while time.monotonic() < end:
                client.do(person.send_from, sender, V4, PORT)
                self.assertEqual(server.do(person.received, handle), "hello")
                time.sleep(0.2)
        self.assertEqual((counted.reasons(), counted["flows_ended"]), ({}, 0))


class Neighbours(TwoNodes):
    """Rules of other programs."""

    def test_a_connection_mark_of_anybody_elses_lets_nothing_in(self):
        for node in (self.one, self.two):
            node.run("nft", "add table inet site; add chain inet site c { type filter hook prerouting priority mangle; }; "
                            "add rule inet site c ct mark set 0xffffffff; add rule inet site c meta mark set 0xffffffff; "
                            "add chain inet site o { type route hook output priority mangle; }; "
                            "add rule inet site o ct mark set 0x00200000")
        for address in (V4, V6):
            with self.subTest(address):
                server = self.person("alice", self.two)
                handle = server.do(person.bound, "udp", address, PORT)
                thief = self.person("bob", self.one)
                sender = thief.do(person.bound, "udp", "::" if ":" in address else "0.0.0.0", SOURCE)
                for _ in range(5):
                    thief.do(person.send_from, sender, address, PORT)
                self.assertIsNone(server.do(person.received, handle, timeout=0.3))
                thief.close(sender)
                server.close(handle)
                server.listen("udp", address, PORT + 2)
                self.assertEqual(self.person("alice", self.one).connect("udp", address, PORT + 2), "connected")

    def test_a_mark_set_where_sites_filter_lets_nothing_in(self):
        for priority in (0, 1, 10, 50):
            self.two.run("nft", f"add table inet site{priority}; "
                                f"add chain inet site{priority} c {{ type filter hook input priority {priority}; }}; "
                                f"add rule inet site{priority} c meta mark set 0x00200000")
        self.person("alice", self.two).listen("tcp", "::", PORT)
        for address in (V4, V6):
            self.assertEqual(self.person("bob", self.one).connect("tcp", address, PORT), "EHOSTUNREACH")
            self.assertEqual(self.person("alice", self.one).connect("tcp", address, PORT), "connected")

    def test_untracked_packets_neither_stop_ident_nor_tcp(self):
        for node in (self.one, self.two):
            for hook in ("prerouting", "output"):
                node.run("nft", f"add table inet site; add chain inet site {hook} {{ type filter hook {hook} priority raw; }}; "
                                f"add rule inet site {hook} notrack")
        self.person("alice", self.two).listen("tcp", "::", PORT)
        for address in (V4, V6):
            self.assertEqual(self.person("alice", self.one).connect("tcp", address, PORT), "connected")
            self.assertNotEqual(self.person("bob", self.one).connect("tcp", address, PORT), "connected")
        for ubfd in (self.ubfd1, self.ubfd2):
            wait_until(lambda: any("notrack" in warning for warning in ubfd.status()["warnings"]),  # noqa: B023
                       what="a warning")
            ubfd.wait_for_log("notrack")

    def test_a_chain_that_may_come_between_is_named(self):
        chain = "type filter hook input priority 88; policy accept;"
        self.two.run("nft", f"add table ip site; add chain ip site between {{ {chain} }}")
        self.ubfd2.wait_for_log("chain between of table ip site")
        self.two.run("nft", "delete table ip site")
        wait_until(lambda: not any("between" in warning for warning in self.ubfd2.status()["warnings"]),
                   what="the end of the warning")


if __name__ == "__main__":
    case.main()
