#!/usr/bin/python3
"""Ways around such a firewall that worked against another firewall."""

import contextlib
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import CLOSED, PROJ, REFUSED, V4, V6, Counted, TwoNodes, wait_until  # noqa: E402
from lab.threads import stopped, threads  # noqa: E402

FIRST, SECOND = 9001, 9501  # ports

# family, addresses of the two ends, whether the ends are on two nodes
PLACES = [("v4", "10.77.0.1", V4, True), ("v6", "fd77::1", V6, True),
          ("v4", "127.0.0.1", "127.0.0.1", False), ("v6", "::1", "::1", False)]


class BothAtOnce(TwoNodes):
    """Two people who send to each other at the same moment."""

    settings = {"scope": {"exempt_ports": ["tcp/9999"]}}

    def block(self, protocol, ports):
        """Packets to these ports get lost, on both nodes, until unblock()."""
        for node in (self.one, self.two):
            node.run("nft", f"add table inet block; add chain inet block c {{ type filter hook prerouting "
                            f"priority -400; }}; add rule inet block c {protocol} dport {ports} drop")

    def unblock(self):
        for node in (self.one, self.two):
            node.run("nft", "delete table inet block")

    def open_simultaneously(self, one, other, here, there, pairs):
        """Both connect while nothing arrives. After unblock(), both SYNs are on their way. Returns what each of them
        saw."""
        last = pairs - 1
        self.block("tcp", f"{{ {FIRST}-{FIRST + last}, {SECOND}-{SECOND + last} }}")
        waiting = []
        for i in range(pairs):
            waiting.append((one, one.do(person.send_to, "tcp", there, SECOND + i, bind=(here, FIRST + i))))
            waiting.append((other, other.do(person.send_to, "tcp", here, FIRST + i, bind=(there, SECOND + i))))
        self.unblock()
        seen = [somebody.do(person.outcome, handle, timeout=5) for somebody, handle in waiting]
        for somebody, handle in waiting:
            somebody.close(handle)
        return seen

    def test_two_users_cannot_open_a_connection_from_both_ends(self):
        for family, here, there, across in PLACES:
            with self.subTest(here):
                one = self.person("carol", self.one if across else self.two)
                other = self.person("bob", self.two)
                seen = self.open_simultaneously(one, other, here, there, pairs=20)
                self.assertNotIn("connected", seen)
                self.assertIn(REFUSED[family], seen)

    def test_one_user_can_open_a_connection_from_both_ends(self):
        for _, here, there, across in PLACES:
            with self.subTest(here):
                one = self.person("alice", self.one if across else self.two)
                other = self.person("alice", self.two)
                seen = self.open_simultaneously(one, other, here, there, pairs=5)
                self.assertEqual(seen, ["connected"] * 10)

    def punch(self, one, other, here, there):
        """Both send, again and again, from and to fixed ports. Returns what each of them received."""
        ends = [(one, one.do(person.bound, "udp", here, FIRST), there, SECOND),
                (other, other.do(person.bound, "udp", there, SECOND), here, FIRST)]
        for _ in range(10):
            for somebody, handle, address, port in ends:
                somebody.do(person.send_from, handle, address, port)
        return [somebody.do(person.received, handle, timeout=0.5) for somebody, handle, _, _ in ends]

    def test_two_users_cannot_punch_a_hole_for_udp(self):
        for _, here, there, across in PLACES:
            with self.subTest(here):
                one, other = self.person("carol", self.one if across else self.two), self.person("bob", self.two)
                self.assertEqual(self.punch(one, other, here, there), [None, None])

    def test_one_user_may_send_udp_from_both_ends(self):
        for _, here, there, across in PLACES:
            with self.subTest(here):
                one, other = self.person("alice", self.one if across else self.two), self.person("alice", self.two)
                self.assertEqual(self.punch(one, other, here, there), ["hello", "hello"])


class Takeover(TwoNodes):
    """A user takes the port of another user's flow."""

    def test_who_binds_the_listeners_udp_port_next_does_not_inherit_its_flows(self):
        for _, here, there, across in PLACES:
            with self.subTest(here):
                client = self.person("alice", self.one if across else self.two)
                server = self.person("alice", self.two)
                server.listen("udp", there, FIRST)
                seen = client.connect("udp", there, FIRST)
                self.assertEqual(seen, "connected")
                self.dismiss(server)
                time.sleep(0.2)
                thief = self.person("bob", self.two)
                trap = thief.do(person.bound, "udp", there, FIRST)
                for _ in range(5):
                    client.say(seen.handle, "a secret", timeout=0.05)
                self.assertIsNone(thief.do(person.received, trap, timeout=0.3))
                thief.close(trap)

    def test_who_binds_the_connectors_udp_port_next_does_not_inherit_its_flows(self):
        for _, here, there, across in PLACES:
            with self.subTest(here):
                node = self.one if across else self.two
                server, client = self.person("alice", self.two), self.person("alice", node)
                handle = server.do(person.bound, "udp", there, FIRST)
                sender = client.do(person.bound, "udp", here, SECOND)
                client.do(person.send_from, sender, there, FIRST)
                self.assertEqual(server.do(person.received, handle), "hello")
                client.close(sender)
                time.sleep(0.4)
                thief = self.person("bob", node)
                forged = thief.do(person.bound, "udp", here, SECOND)
                for _ in range(5):
                    thief.do(person.send_from, forged, there, FIRST, "a forgery")
                self.assertIsNone(server.do(person.received, handle, timeout=0.3))
                # Nor does the thief get what the server still sends to its old client.
                for _ in range(5):
                    server.do(person.send_from, handle, here, SECOND, "a secret")
                self.assertIsNone(thief.do(person.received, forged, timeout=0.3))
                thief.close(forged)
                server.close(handle)


class LostNotices(TwoNodes):
    """No notice tells that an owner is gone, so the flow goes on until its lease expires, after ten seconds. If the
    kernel takes BPF programs, no other user gets its datagrams meanwhile (receivers_test.py)."""

    settings = {"owners": {"bpf": False}}

    def assert_ends(self, send, arrives, what):
        """Datagrams arrive now, and stop within 14 seconds."""
        send()
        self.assertTrue(arrives())
        end = time.monotonic() + 14
        while time.monotonic() < end:
            time.sleep(0.5)
            send()
            if not arrives():
                return
        self.fail(f"{what} after 14 s")

    def test_a_connector_that_was_replaced_while_its_ubfd_was_down(self):
        server, client = self.person("alice", self.two), self.person("alice", self.one)
        handle = server.do(person.bound, "udp", V4, FIRST)
        sender = client.do(person.bound, "udp", "10.77.0.1", SECOND)
        client.do(person.send_from, sender, V4, FIRST)
        self.assertEqual(server.do(person.received, handle), "hello")
        self.ubfd1.kill()
        client.close(sender)
        self.ubfd1.start()
        thief = self.person("bob", self.one)
        forged = thief.do(person.bound, "udp", "10.77.0.1", SECOND)
        self.assert_ends(lambda: thief.do(person.send_from, forged, V4, FIRST, "a forgery"),
                         lambda: server.do(person.received, handle, timeout=0.2), "forgeries still arrive")
        self.assert_denied(self.ubfd2, "reason=different-user", "connector=bob(63002)")
        self.assertEqual(self.ubfd2.status()["flows_ended"], 1)

    def test_a_listener_whose_port_somebody_else_came_to_share(self):
        """Both set SO_REUSEADDR, and the kernel prefers the later socket."""
        self.person("alice", self.two).listen("udp", "0.0.0.0", FIRST)
        client = self.person("alice", self.one)
        seen = client.connect("udp", V4, FIRST)
        self.assertEqual(seen, "connected")
        thief = self.person("bob", self.two)
        trap = thief.do(person.bound, "udp", "0.0.0.0", FIRST)
        self.assert_ends(lambda: client.say(seen.handle, "a secret", timeout=0.05),
                         lambda: thief.do(person.received, trap, timeout=0.2), "secrets still arrive")

    def test_who_does_nothing_wrong_notices_nothing(self):
        server, client = self.person("alice", self.two), self.person("alice", self.one)
        server.listen("udp", "::", FIRST)
        seen = [client.connect("udp", address, FIRST) for address in (V4, V6)]
        with Counted(self.ubfd2) as counted:
            end = time.monotonic() + 13
            while time.monotonic() < end:
                for old in seen:
                    self.assertEqual(client.say(old.handle), "hello")
                time.sleep(0.2)
        self.assertEqual((counted.reasons(), counted["flows_ended"]), ({}, 0))
        self.assertGreaterEqual(counted["ident.questions"], 2)

    def test_flows_that_were_allowed_before_a_restart_are_decided_again(self):
        server, client = self.person("alice", self.two), self.person("alice", self.one)
        old = server.listen("udp", "0.0.0.0", FIRST)
        server.listen("udp", "0.0.0.0", SECOND)
        seen, stays = client.connect("udp", V4, FIRST), client.connect("udp", V4, SECOND)
        self.ubfd2.kill()
        server.close(old)
        thief = self.person("bob", self.two)
        trap = thief.do(person.bound, "udp", "0.0.0.0", FIRST)
        self.ubfd2.start()
        client.say(seen.handle, "a secret", timeout=0.05)
        self.assertIsNone(thief.do(person.received, trap, timeout=0.3))
        self.assertEqual(client.say(stays.handle), "hello")


class Masks(TwoNodes):
    """Sockets that look like another user's."""

    settings = {"policy": {"exempt_listeners": ["root"], "exempt_connectors": ["root"]}}

    def assert_whose(self, owner, port):
        """Only the owner, and the exempt root, may connect."""
        for user in ("alice", "bob", "carol", "root"):
            expected = "connected" if user in (owner, "root") or owner == "root" else "EHOSTUNREACH"
            self.assertEqual(self.person(user, self.one).connect("tcp", V4, port), expected, user)

    def test_a_socket_held_by_a_program_of_root_stays_its_creators(self):
        creator, root = self.person("carol", self.two), self.person("root", self.two)
        root.do(person.serve, creator.hand_over(creator.listen("tcp", "::", FIRST, answer=False), root))
        self.dismiss(creator)
        self.assert_whose("carol", FIRST)

    def test_a_socket_held_by_another_user_stays_its_creators(self):
        creator, other = self.person("carol", self.two), self.person("bob", self.two)
        other.do(person.serve, creator.hand_over(creator.listen("tcp", "::", FIRST, answer=False), other))
        self.dismiss(creator)
        self.assert_whose("carol", FIRST)

    def test_a_socket_that_root_made_before_it_became_a_user_is_roots(self):
        self.person("alice", self.two, prepare=lambda: person.listen("tcp", "::", FIRST))
        self.assert_whose("root", FIRST)

    def test_a_connection_that_root_began_before_it_became_a_user_is_roots(self):
        self.person("bob", self.two).listen("tcp", "::", FIRST)
        with Counted(self.ubfd2) as counted:
            self.person("alice", self.one, prepare=lambda: person.connect("tcp", V4, FIRST)).do(len, "")
        self.assertEqual(counted.reasons(), {"exempt-connector": 1})

    def test_one_port_of_two_addresses_has_two_owners(self):
        alice, bob = self.person("alice", self.two), self.person("bob", self.two)
        pairs = [("127.0.0.1", "::1"), (V4, V6), ("127.0.0.1", V4), ("0.0.0.0", "::")]
        for port, (of_alice, of_bob) in enumerate(pairs, FIRST):
            alice.listen("tcp", of_alice, port)
            bob.listen("tcp", of_bob, port, v6_only=True if ":" in of_bob else None)
        client = self.person("alice", self.two)
        for port, (of_alice, of_bob) in enumerate(pairs, FIRST):
            to = {"0.0.0.0": "127.0.0.1", "::": "::1"}
            self.assertEqual(client.connect("tcp", to.get(of_alice, of_alice), port), "connected")
            self.assertEqual(client.connect("tcp", to.get(of_bob, of_bob), port), "EHOSTUNREACH")


class Holders(TwoNodes):
    """Sockets without a kernel record of their maker."""

    settings = {"owners": {"bpf": False}}

    def test_a_group_lets_in_only_where_every_holder_has_it(self):
        """The order of the holders' pids must not matter."""
        for groups in ((PROJ, None), (None, PROJ)):
            first, second = (self.person("alice", self.two, group=group) for group in groups)
            second.do(person.serve, first.hand_over(first.listen("tcp", "::", FIRST, answer=False), second))
            self.assertEqual(self.person("bob", self.one).connect("tcp", V4, FIRST), "EHOSTUNREACH")
            for holder in (first, second):
                self.dismiss(holder)


def begin_at_once(handle, address, port):
    sock = person._sockets[handle]  # pylint: disable=protected-access
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(person.resolve(address, port))


class Successors(TwoNodes):
    """A SYN waits while ubfd looks for its sender's groups. Its socket is closed, and another user's begins from the same
    port."""

    settings = {"owners": {"bpf": False}, "ident": {"deadline_ms": 999}}

    def test_who_binds_the_port_of_a_connection_that_waits_does_not_inherit_its_verdict(self):
        for address in ("127.0.0.1", "::1"):
            with self.subTest(address):
                server = self.person("alice", self.two, group=PROJ)
                server.listen("tcp", address, FIRST)
                bob, carol = self.person("bob", self.two), self.person("carol", self.two)
                with contextlib.ExitStack() as searches:
                    for thread in threads(self.ubfd2.process, "owners"):
                        searches.enter_context(stopped(thread))
                    handle = bob.do(person.bound, "tcp", address, SECOND)
                    bob.do(begin_at_once, handle, address, FIRST)
                    bob.close(handle)
                    theirs = carol.do(person.bound, "tcp", address, SECOND)
                    carol.do(begin_at_once, theirs, address, FIRST)
                    time.sleep(0.1)
                self.assertEqual(carol.do(person.outcome, theirs), "EHOSTUNREACH")
                self.assert_denied(self.ubfd2, "reason=different-user", "connector=carol")
                for one in (server, bob, carol):
                    self.dismiss(one)


class LowPorts(TwoNodes):
    def start_daemons(self):
        for node in (self.one, self.two):
            node.set_sysctl("net.ipv4.ip_unprivileged_port_start", "80")
        super().start_daemons()

    def test_a_port_below_1024_that_users_may_bind_is_watched(self):
        for protocol in ("tcp", "udp"):
            self.person("alice", self.two).listen(protocol, "::", 81)
            self.assertEqual(self.person("alice", self.one).connect(protocol, V4, 81), "connected")
            self.assertEqual(self.person("bob", self.one).connect(protocol, V4, 81), "EHOSTUNREACH")

    def test_the_sysctl_may_change_while_ubfd_runs(self):
        self.two.set_sysctl("net.ipv4.ip_unprivileged_port_start", "70")
        self.ubfd2.wait_for_log("ip_unprivileged_port_start was 80 and is 70")
        wait_until(lambda: self.ubfd2.status()["ruleset"]["repairs"] == 1)
        self.person("alice", self.two).listen("tcp", "::", 71)
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, 71), "EHOSTUNREACH")
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, 72), CLOSED)


if __name__ == "__main__":
    case.main()
