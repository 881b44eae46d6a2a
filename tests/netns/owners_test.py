#!/usr/bin/python3
"""The owner of a socket, for every kind of socket that a program may listen or connect with."""

import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import COMMON, PROJ, V4, V6, WAYS, Counted, TwoNodes  # noqa: E402
from lab.tree import remount_proc, replace_file  # noqa: E402

PORT = 9001
IPPROTO_MPTCP = 262  # linux/in.h


class Sockets(TwoNodes):
    def assert_alices(self, protocol, address, port):
        """alice connects, and bob doesn't: from the other node and, if possible, from this one."""
        for node in (self.one, self.two):
            self.assertEqual(self.person("alice", node).connect(protocol, address, port), "connected", node.name)
            self.assertIn(self.person("bob", node).connect(protocol, address, port),
                          ("EHOSTUNREACH", "EACCES"), node.name)

    def test_a_listener_on_every_address_of_one_family(self):
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two).listen(protocol, "0.0.0.0", PORT)
            self.assert_alices(protocol, V4, PORT)
            self.person("alice", self.two).listen(protocol, "::", PORT + 1, v6_only=True)
            self.assert_alices(protocol, V6, PORT + 1)

    def test_a_dual_stack_listener(self):
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two).listen(protocol, "::", PORT, v6_only=False)
            self.assert_alices(protocol, V4, PORT)
            self.assert_alices(protocol, V6, PORT)

    def test_a_listener_on_one_address(self):
        for protocol in ("tcp", "udp"):
            for address in (V4, V6, f"::ffff:{V4}"):
                server = self.person("alice", self.two)
                server.listen(protocol, address, PORT)
                self.assert_alices(protocol, address.removeprefix("::ffff:"), PORT)
                self.dismiss(server)

    def test_a_dual_stack_connector(self):
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two).listen(protocol, "0.0.0.0", PORT)
            self.assertEqual(self.person("alice", self.one).connect(protocol, f"::ffff:{V4}", PORT), "connected")
            self.assertEqual(self.person("bob", self.one).connect(protocol, f"::ffff:{V4}", PORT), "EHOSTUNREACH")

    def test_listeners_that_share_a_port(self):
        for protocol in ("tcp", "udp"):
            for _ in range(4):
                self.person("alice", self.two).listen(protocol, "::", PORT, reuse_port=True)
            for _ in range(5):
                self.assert_alices(protocol, V4, PORT)

    def test_one_port_of_two_interfaces_has_two_owners(self):
        """UDP over IPv4 differs: either socket can send through the other's interface (sharing_test.py)."""
        for protocol, place, over, beside, refused in (("tcp", "0.0.0.0", V4, "127.0.0.1", "EHOSTUNREACH"),
                                                       ("udp", "::", V6, "::1", "EACCES")):
            self.person("alice", self.two).listen(protocol, place, PORT, device="eth0")
            self.person("bob", self.two).listen(protocol, place, PORT, device="lo")
            for user, across, here in (("alice", "connected", refused), ("bob", refused, "connected")):
                self.assertEqual(self.person(user, self.one).connect(protocol, over, PORT), across)
                self.assertEqual(self.person(user, self.two).connect(protocol, beside, PORT), here)

    def test_a_connector_bound_to_an_interface(self):
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two).listen(protocol, "::", PORT)
            for address in (V4, V6):
                self.assertEqual(
                    self.person("alice", self.one).connect(protocol, address, PORT, device="eth0"), "connected")
                self.assertIn(self.person("bob", self.one).connect(protocol, address, PORT, device="eth0"),
                              ("EHOSTUNREACH", "EACCES"))

    def test_udp_that_is_connected_at_neither_end(self):
        server = self.person("alice", self.two)
        server.listen("udp", "::", PORT)
        for user, expected in (("alice", "hello"), ("bob", None)):
            client = self.person(user, self.one)
            for local, address in (("0.0.0.0", V4), ("::", V6), ("::", f"::ffff:{V4}")):
                handle = client.do(person.bound, "udp", local, 0)
                client.do(person.send_from, handle, address, PORT)
                self.assertEqual(client.do(person.received, handle), expected, f"{user} {address}")

    def test_udp_that_is_connected_at_both_ends(self):
        """The server's connected socket gets the packet, whoever owns the wildcard socket on its port."""
        alice, bob = self.person("alice", self.two), self.person("bob", self.two)
        bob.listen("udp", "0.0.0.0", PORT)  # both set SO_REUSEADDR
        client = self.person("alice", self.one)
        mine = client.do(person.bound, "udp", "10.77.0.1", PORT + 1)
        theirs = alice.do(person.bound, "udp", V4, PORT)
        alice.do(person.connect_bound, theirs, "10.77.0.1", PORT + 1)
        client.do(person.send_from, mine, V4, PORT)
        self.assertEqual(alice.do(person.received, theirs), "hello")

    def test_multipath_tcp(self):
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT, number=IPPROTO_MPTCP)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT + 1)
        for port in (PORT, PORT + 1):
            for number in (IPPROTO_MPTCP, 0):
                self.assertEqual(
                    self.person("alice", self.one).connect("tcp", V4, port, number=number), "connected")
                self.assertEqual(
                    self.person("bob", self.one).connect("tcp", V4, port, number=number), "EHOSTUNREACH")

    def test_link_local_addresses(self):
        for node in (self.one, self.two):
            case.wait_until(lambda: "tentative" not in node.run("ip", "-6", "addr", "show", "dev", "eth0"))
        address = next(word for word in self.two.run("ip", "-6", "-o", "addr", "show", "dev", "eth0").split()
                       if word.startswith("fe80")).split("/")[0]
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two).listen(protocol, "::", PORT)
            self.assertEqual(self.person("alice", self.one).connect(protocol, f"{address}%eth0", PORT), "connected")
            self.assertEqual(self.person("bob", self.one).connect(protocol, f"{address}%eth0", PORT),
                             case.refused(protocol, "v6"))

    def start_daemons(self):
        self.settings = {"peers": {"ranges": [*case.PEERS, "fe80::/64"]}}
        super().start_daemons()


class Moments(TwoNodes):
    """Sockets that open and close while ubfd asks about them."""

    def test_a_connector_that_is_gone_before_the_lookup_is_refused(self):
        server = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            handle = server.listen(protocol, "::", PORT, answer=protocol == "tcp")
            self.ubfd1.process.send_signal(signal.SIGSTOP)  # the question waits
            client = self.person("alice", self.one)
            client.do(person.send_to, protocol, V4, PORT)
            case.wait_until(lambda: self.ubfd2.status()["queues"] and self.is_asked())
            self.dismiss(client)
            self.ubfd1.process.send_signal(signal.SIGCONT)
            self.assert_denied(self.ubfd2, f" {protocol} ", "reason=connector-unknown")
            if protocol == "udp":
                self.assertIsNone(server.do(person.received, handle, timeout=0.2))

    def is_asked(self):
        return any(peer["questions"] > peer["answers"] + peer["timeouts"] for peer in self.ubfd2.status()["peers"])

    def test_a_listener_that_was_replaced_while_it_was_asked_about_is_not_reached(self):
        server = self.person("alice", self.two)
        server.do(person.bound, "udp", "0.0.0.0", PORT)
        self.ubfd1.process.send_signal(signal.SIGSTOP)
        self.person("alice", self.one).do(person.send_to, "udp", V4, PORT, text="a secret")
        case.wait_until(self.is_asked)
        self.dismiss(server)
        thief = self.person("bob", self.two)
        trap = thief.do(person.bound, "udp", "0.0.0.0", PORT)
        with Counted(self.ubfd2) as counted:
            self.ubfd1.process.send_signal(signal.SIGCONT)
            self.assertIsNone(thief.do(person.received, trap, timeout=1))
        self.assertEqual(counted.reasons(), {"gone": 1})

    def test_a_tcp_listener_that_was_replaced_while_it_was_asked_about_is_not_reached(self):
        server = self.person("alice", self.two)
        server.listen("tcp", "0.0.0.0", PORT)
        self.ubfd1.process.send_signal(signal.SIGSTOP)
        alice = self.person("alice", self.one)
        handle = alice.do(person.send_to, "tcp", V4, PORT)
        case.wait_until(self.is_asked)
        self.dismiss(server)
        self.person("bob", self.two).listen("tcp", "0.0.0.0", PORT)
        with Counted(self.ubfd2) as counted:
            self.ubfd1.process.send_signal(signal.SIGCONT)
            self.assertEqual(alice.do(person.outcome, handle, timeout=5), "EHOSTUNREACH")
        self.assertEqual(counted.reasons(), {"gone": 1, "different-user": 1})

    def test_a_listener_on_the_port_of_a_connector_that_is_gone_does_not_vouch_for_it(self):
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        self.ubfd1.process.send_signal(signal.SIGSTOP)
        bob = self.person("bob", self.one)
        bob.do(person.send_to, "tcp", V4, PORT, bind=("10.77.0.1", 9100))
        case.wait_until(self.is_asked)
        self.dismiss(bob)
        self.person("alice", self.one).listen("tcp", "0.0.0.0", 9100)
        self.ubfd1.process.send_signal(signal.SIGCONT)
        self.assert_denied(self.ubfd2, "reason=connector-unknown")
        self.assertEqual(self.ubfd2.status()["reasons"]["same-user"], 0)

    def test_a_connection_in_time_wait_does_not_hide_the_listener(self):
        server = self.person("alice", self.two)
        server.listen("tcp", "0.0.0.0", PORT)
        for _ in range(3):
            client = self.person("alice", self.one)
            seen = client.connect("tcp", V4, PORT, bind=("10.77.0.1", 9100))
            self.assertEqual(seen, "connected")
            server.do(person.end_accepted)  # the side that closes first keeps TIME_WAIT
            self.dismiss(client)


class Groups(TwoNodes):
    settings = {"policy": {"ignored_groups": ["common"]}}

    def test_of_very_many_groups_each_counts_on_this_node_and_across(self):
        many = list(range(2000, 2400))  # numbers below the listener's, so that they come first
        alice = self.person("alice", self.two, group=PROJ)
        for protocol in ("tcp", "udp"):
            alice.listen(protocol, "::", PORT + 1)
        for node in (self.one, self.two):
            for protocol in ("tcp", "udp"):
                for address in (V4, V6):
                    with self.subTest(f"{node.name} {protocol} {address}"):
                        member = self.person("carol", node, groups=[*many, PROJ])
                        self.assertEqual(member.connect(protocol, address, PORT + 1), "connected")
                        other = self.person("carol", node, groups=many)
                        self.assertEqual(other.connect(protocol, address, PORT + 1),
                                         case.refused(protocol, "v6" if address == V6 else "v4"))

    def assert_bob_sees(self, seen, **options):
        for node in (self.one, self.two):
            bob = self.person("bob", node, **options)
            self.assertEqual(bob.connect("tcp", V4, PORT), seen, node.name)
            self.dismiss(bob)

    def test_a_member_by_the_user_database_alone_connects(self):
        self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", PORT)
        self.assert_bob_sees("connected", groups=[])

    def test_a_member_by_the_process_alone_connects(self):
        self.person("alice", self.two, group=64000).listen("tcp", "0.0.0.0", PORT)
        self.assert_bob_sees("EHOSTUNREACH")
        self.assert_bob_sees("connected", groups=[64000])
        self.assert_bob_sees("connected", group=64000)

    def test_who_may_not_be_dumped_is_found_all_the_same(self):
        self.person("alice", self.two, group=PROJ, dumpable=False).listen("tcp", "0.0.0.0", PORT)
        self.assert_bob_sees("connected", dumpable=False)

    def test_where_proc_hides_people_from_each_other(self):
        remount_proc("hidepid=2")
        self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", PORT)
        self.assert_bob_sees("connected")

    def test_a_supplementary_group_of_the_listener_lets_nobody_in(self):
        self.person("alice", self.two, group=COMMON, groups=[PROJ]).listen("tcp", "0.0.0.0", PORT)
        self.assert_bob_sees("EHOSTUNREACH")


class Recorded(TwoNodes):
    """If the kernel doesn't take the program, ubfd searches for owners instead. The guest's kernel in tests/vm takes
    it."""

    def test_says_whether_it_is_and_works_either_way(self):
        state = self.ubfd2.status()["owner_records"]
        self.assertRegex(state, r"^(in use|in use for TCP; .+|not in use: .+)$")
        self.ubfd2.wait_for_log(f"the kernel's records of owners: {state}")
        self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", PORT)
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.person("carol", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        found = self.ubfd2.status()["owner_methods"]
        recorded = state.startswith("in use")
        self.assertEqual((found["kernel-record"] > 0, found["uid-processes"] > 0), (recorded, not recorded))

    def test_not_where_the_site_does_not_want_it(self):
        self.ubfd2.configure({"owners": {"bpf": False}})
        self.ubfd2.stop()
        self.ubfd2.start()
        self.assertEqual(self.ubfd2.status()["owner_records"], "not in use: owners.bpf is false")

    def test_a_reload_does_not_change_it(self):
        self.ubfd2.configure({"owners": {"bpf": False}})
        self.ubfd2.process.send_signal(signal.SIGHUP)
        self.assertIn("restart only", self.ubfd2.wait_for_log("not reloaded"))


ALICES, BOBS, NOBODYS, OF_BOTH = 700_999, 800_000, 650_000, 900_000


class Subordinates(TwoNodes):
    """The uids of a user's containers (newuidmap)."""

    settings = {"policy": {"subids": True}}

    def setUp(self):
        replace_file("/etc/subuid", ["alice:700000:65536", "bob:800000:65536", "alice:900000:10", "bob:900000:10"])
        super().setUp()

    def assert_connects(self, client, server, way, yes):
        listener, port = self.person(server, self.two), 9001
        listener.listen(way.protocol, "::", port)
        connector = self.person(client, self.one if way.across else self.two)
        self.assertEqual(connector.connect(way.protocol, way.address, port), "connected" if yes else way.refused)
        self.dismiss(listener)
        self.dismiss(connector)

    def test_subordinate_ones_count_as_their_user(self):
        for way in WAYS:
            for client, server, yes in (("alice", ALICES, True), (ALICES, "alice", True), (ALICES, ALICES + 1, True),
                                        (BOBS, "alice", False), ("alice", BOBS, False), (BOBS, ALICES, False)):
                with self.subTest(f"{way} {client} {server}"):
                    self.assert_connects(client, server, way, yes)
        self.assert_denied(self.ubfd2, f"connector=bob's({BOBS})", f"listener=alice's({ALICES})")

    def test_those_of_nobody_or_of_two_count_as_themselves(self):
        for number in (NOBODYS, OF_BOTH):
            for way in WAYS[:4]:
                with self.subTest(f"{way} {number}"):
                    self.assert_connects(number, "alice", way, False)
                    self.assert_connects("alice", number, way, False)
                    self.assert_connects(number, number, way, True)
        self.assert_denied(self.ubfd2, f"connector=?({OF_BOTH})")

    def test_by_default_they_are_named_and_count_as_themselves(self):
        self.ubfd2.configure({**self.ubfd2.settings, "policy": {}})
        self.ubfd2.reload()
        for way in WAYS[:4]:
            self.assert_connects(ALICES, "alice", way, False)
        self.assert_denied(self.ubfd2, f"connector=alice's({ALICES})")


if __name__ == "__main__":
    case.main()
