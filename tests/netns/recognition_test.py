#!/usr/bin/python3
"""The kernel recognises connections between two programs of one user and lets them in without asking. All others are
asked about as usual. The test makes stamps of its own, from docs/recognition.md alone, and sends them."""

import json
import pathlib
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person, stamps  # noqa: E402
from lab.case import PROJ, USERS, V4, V6, WAYS, Counted, wait_until  # noqa: E402
from lab.node import Node, join  # noqa: E402
from lab.recognising import CLOSED, PORT, REDIRECTED, SHARED, Recognising  # noqa: E402
from lab.stamps import PLAIN, syn  # noqa: E402
from lab.tree import FOLDER  # noqa: E402
from lab.ubfd import write_key  # noqa: E402

SOURCE, KEY, OTHER_KEY = "10.77.0.1", "11" * 32, "22" * 32
TCP = [way for way in WAYS if way.protocol == "tcp"]


def stamp(source, destination, sequence, user, key=KEY, when=None):
    return stamps.stamp(source, destination, sequence, USERS[user], stamps.of_cluster(key), when)


class Recognition(Recognising):
    settings = {"policy": {"exempt_listeners": ["service"], "exempt_connectors": ["monitor"]}}

    def test_one_users_connection_waits_for_nobody(self):
        self.assertEqual(self.state(), "in use")
        before = self.ubfd2.status()["queues"]
        for way in TCP:
            with self.subTest(str(way)):
                self.assert_recognised(address=way.address, across=way.across)
        self.assertEqual(self.ubfd2.status()["queues"], before)
        self.assertEqual(self.ubfd2.status()["kernel"]["recognised"]["packets"], len(TCP))

    def test_so_does_one_of_ipv4_from_a_socket_of_ipv6(self):
        self.assert_recognised(address=f"::ffff:{V4}")
        self.assert_recognised(address="::ffff:127.0.0.1", across=False)

    def test_another_users_is_refused_as_ever(self):
        for way in TCP:
            with self.subTest(str(way)):
                self.assertEqual(self.connect("bob", address=way.address, across=way.across),
                                 (way.refused, {"unfit": 1}, {"different-user"}))

    def test_a_group_is_asked_about(self):
        self.listen("alice", SHARED, group=PROJ)
        for way in TCP:
            with self.subTest(str(way)):
                self.assertEqual(self.assert_asked("bob", SHARED, way.address, way.across, reason="same-group"),
                                 {"unfit": 1})

    def test_nothing_is_stamped_for_root_and_the_exempt(self):
        with Counted(self.ubfd1) as counted:
            self.assertEqual(self.connect("root")[1:], ({"unstamped": 1}, {"different-user"}))
            self.assert_asked("monitor", reason="exempt-connector")
        self.assertEqual(counted["recognition.stamped"], 0)
        self.listen("service", SHARED)
        self.assert_asked("service", SHARED, reason="exempt-listener")

    def test_nothing_is_stamped_that_goes_elsewhere(self):
        outside = Node("outside")
        join(self.one, outside, [("192.0.2.1/24", "192.0.2.2/24")], interface="eth1")
        self.listen("alice", PORT, node=outside)
        with Counted(self.ubfd1) as counted:
            self.assertEqual(self.somebody("alice").connect("tcp", "192.0.2.2", PORT), "connected")
        self.assertEqual(counted["recognition.stamped"], 0)

    def test_nothing_is_stamped_in_another_network_namespace(self):
        self.ubfd1.stop()  # all nodes here share a kernel, so node2's ubfd sees their sockets too
        with Counted(self.ubfd2) as counted:
            self.somebody("alice").connect("tcp", V4, PORT, timeout=0.5)
        self.assertEqual((counted["recognition.stamped"], counted["recognition.recognised"]), (0, 0))

    def test_a_closed_port_is_closed(self):
        self.assertEqual(self.connect(port=CLOSED), ("ECONNREFUSED", {"no_listener": 1}, {"no-listener"}))

    def test_one_that_is_redirected_is_judged_by_where_it_arrives(self):
        self.listen("bob", REDIRECTED)
        self.two.run("nft", "add table ip site; add chain ip site pre { type nat hook prerouting priority -100; }; "
                     f"add rule ip site pre tcp dport {PORT} redirect to :{REDIRECTED}")
        seen, recognised, reasons = self.connect()
        self.assertEqual((seen, recognised), ("EHOSTUNREACH", {"recognised": 1}))
        self.assertLessEqual(reasons, {"translated", "different-user"})  # only some kernels can tell the original port

    def test_one_that_is_rewritten_without_a_trace_reaches_nobody_else(self):
        self.listen("bob", REDIRECTED)
        self.two.run("nft", "add table ip site; add chain ip site pre { type filter hook prerouting priority raw; }; "
                     f"add rule ip site pre tcp dport {PORT} tcp dport set {REDIRECTED}; "
                     "add chain ip site out { type filter hook output priority raw; }; "
                     f"add rule ip site out tcp sport {REDIRECTED} tcp sport set {PORT}")
        with Counted(self.ubfd2) as counted:
            self.assertNotEqual(self.somebody("alice").connect("tcp", V4, PORT, timeout=1.5), "connected")
        self.assertGreater(counted["recognition.astray"], 0)

    def test_what_others_write_into_a_packet_opens_nothing(self):
        self.two.run("nft", "add table inet site; add chain inet site pre { type filter hook prerouting priority raw; }; "
                     "add rule inet site pre meta mark set 0x00200000 meta priority set 1234:5678")
        self.assertEqual(self.connect("bob")[0], "EHOSTUNREACH")
        seen, _, reasons = self.connect()
        self.assertEqual((seen, reasons), ("connected", {"same-user"}))  # the site's rule overwrote the packet's number

    def test_connections_are_listed_and_revoked_like_others(self):
        self.assert_recognised()
        seen = self.somebody("alice").connect("tcp", V4, PORT)
        flows = json.loads(self.ubfctl("flows", "--json", "--user", "alice"))["flows"]
        self.assertEqual([(flow["reason"], flow["connector"]["uid"], flow["listener"]["uid"]) for flow in flows],
                         [("same-user", USERS["alice"], USERS["alice"])] * 2)
        self.assertIn(f"{SOURCE}:{seen.local[1]}", [flow["from"] for flow in flows])
        self.ubfctl("revoke", "--user", "alice")
        self.assertEqual(self.somebody("alice").do(person.say, seen.handle), "ECONNRESET")
        self.assertEqual(json.loads(self.ubfctl("flows", "--json", "--user", "alice"))["flows"], [])

    def test_explain_says_that_the_kernel_recognises_it(self):
        seen = self.somebody("alice").connect("tcp", V4, PORT)
        text = self.ubfctl("explain", "--from", f"{SOURCE}:{seen.local[1]}", "--to", f"{V4}:{PORT}")
        self.assertIn("the kernel recognises", text)

    def test_it_goes_on_when_the_ruleset_is_flushed(self):
        self.assert_recognised()
        self.two.run("nft", "flush", "ruleset")
        wait_until(lambda: self.ubfd2.status()["ruleset"]["state"] == "installed" and self.connect()[1] ==
                   {"recognised": 1}, 5)

    def test_without_ubfd_nobody_is_recognised_for_long(self):
        self.ubfd2.kill()
        self.ubfd2.stop = lambda: 0
        time.sleep(3.5)
        self.assertEqual(self.somebody("alice").connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.ubfd2.start()
        del self.ubfd2.stop
        self.assert_recognised()

    def test_where_the_connectors_node_has_no_recognition_it_is_asked(self):
        self.ubfd1.stop()
        self.recognise = False
        self.start_ubfd(self.one)
        self.assertEqual(self.assert_asked(), {"unstamped": 1})

    def test_where_the_listeners_node_has_none_the_stamp_says_nothing(self):
        self.ubfd2.stop()
        self.recognise = False
        self.ubfd2 = self.start_ubfd(self.two)
        self.assertEqual(self.assert_asked(), {})
        self.assertEqual(self.state(), "not in use: owners.recognise is false")


class WithoutVersionTwo:
    """Starts a ubfd that finds no cgroups of version 2, as on a host that mounts version 1 alone."""

    @staticmethod
    def options():
        hide = "mount -t tmpfs none $(ls -d /sys/fs/cgroup/unified || echo /sys/fs/cgroup) 2>/dev/null"
        return ["unshare", "--mount", "bash", "-c", f'{hide} && exec "$@"', "bash"], {}


class Version1(Recognising):
    def start_daemons(self):
        self.ubfd1 = self.start_ubfd(self.one)
        self.ubfd2 = self.start_ubfd(self.two)

    def test_such_a_host_stamps_nothing_and_recognises_nobody_and_asks(self):
        for ubfd in (self.ubfd1, self.ubfd2):
            self.assert_recognised()
            ubfd.stop()
            restarted = self.start_ubfd(ubfd.node, supervisor=WithoutVersionTwo())
            why = "not in use: there are no cgroups of version 2 (/sys/fs/cgroup)"
            self.assertEqual(restarted.status()["recognition"]["state"], why)
            restarted.wait_for_log(f"recognition of one user's connections: {why}")
            self.ubfd2 = restarted if ubfd is self.ubfd2 else self.ubfd2
            self.assertEqual(self.assert_asked(), {"unstamped": 1} if ubfd is self.ubfd1 else {})
            self.assertEqual(self.connect("bob")[0], "EHOSTUNREACH")
            restarted.stop()
            if ubfd is self.ubfd1:
                self.ubfd1 = self.start_ubfd(self.one)


class Policies(Recognising):
    def assert_not_recognised_with(self, reason="same-user", **sections):
        self.assert_recognised()
        self.reload_with(**sections)
        self.assert_asked(reason=reason)

    def test_a_label_that_is_required(self):
        self.assert_recognised()
        self.reload_with(policy={"require_label": True}, labels={"map": {"teamx": ["alice"]}})
        self.assertIn("not in use", self.state())
        self.assertEqual(self.connect(), ("EHOSTUNREACH", {}, {"label-required"}))  # node1 tells no labels

    def test_peers_that_are_not_ready(self):
        self.assert_recognised()
        self.reload_with(peers={"ranges": case.PEERS, "unready": [f"{SOURCE}/32"]})
        self.assertNotIn("recognised", self.connect()[1])
        self.assert_recognised(address=V6)

    def test_nor_where_others_are_cut_out_of_their_range(self):
        self.assert_recognised()
        self.reload_with(peers={"ranges": case.PEERS, "except": ["10.77.0.77"], "unready": ["10.77.0.0/25"]})
        self.assertNotIn("recognised", self.connect()[1])

    def test_addresses_beyond_the_peers(self):
        self.assert_recognised()
        self.reload_with(peers={"ranges": ["10.88.0.0/24", "fd77::/64"]})
        self.assertNotIn("recognised", self.connect()[1])

    def test_a_user_who_is_exempt_by_now(self):
        self.assert_not_recognised_with(reason="exempt-listener", policy={"exempt_listeners": ["alice"]})

    def test_connections_end_when_the_policy_no_longer_allows_them(self):
        seen = self.somebody("alice").connect("tcp", V4, PORT)
        self.assertEqual(seen, "connected")
        self.reload_with(policy={"same_user": False, "same_group": False})
        wait_until(lambda: self.somebody("alice").do(person.say, seen.handle) != "hello", 5)

    def test_none_begins_after_a_reload_that_forbids_it(self):
        results = []
        stop = threading.Event()
        people = [self.person("alice", self.one) for _ in range(3)]

        def storm(somebody):
            while not stop.is_set():
                begun = time.monotonic()
                results.append((begun, str(somebody.connect("tcp", V4, PORT))))

        threads = [threading.Thread(target=storm, args=(somebody,)) for somebody in people]
        for thread in threads:
            thread.start()
        time.sleep(1)
        self.reload_with(policy={"same_user": False, "same_group": False})
        returned = time.monotonic()
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
        after = [seen for begun, seen in results if begun > returned]
        self.assertIn("connected", [seen for _, seen in results])
        self.assertGreater(len(after), 10)
        self.assertEqual(set(after), {"EHOSTUNREACH"})


class Keys(Recognising):
    def start_daemons(self):
        self.keys = [write_key(FOLDER / "key1", KEY), write_key(FOLDER / "key2", KEY)]
        self.ubfd1 = self.start_ubfd(self.one, key=self.keys[0])
        self.ubfd2 = self.start_ubfd(self.two, key=self.keys[1])

    def test_while_keys_rotate_both_are_known(self):
        stop, seen = threading.Event(), []
        somebody = self.person("alice", self.one)

        def storm():
            while not stop.is_set():
                seen.append(str(somebody.connect("tcp", V4, PORT)))

        thread = threading.Thread(target=storm)
        thread.start()
        with Counted(self.ubfd2) as counted:
            for node, keys in ((1, [KEY, OTHER_KEY]), (0, [KEY, OTHER_KEY]), (1, [OTHER_KEY, KEY]),
                               (0, [OTHER_KEY, KEY]), (1, [OTHER_KEY]), (0, [OTHER_KEY])):
                write_key(self.keys[node], *keys)
                (self.ubfd1, self.ubfd2)[node].reload()
                time.sleep(0.1)
        stop.set()
        thread.join()
        self.assertEqual(set(seen), {"connected"})
        self.assertEqual(counted["recognition.foreign_key"], 0)
        self.assertGreater(counted["recognition.recognised"], len(seen) / 2)
        self.assert_recognised()

    def test_a_foreign_key_is_counted_and_nobody_is_refused_for_it(self):
        write_key(self.keys[1], OTHER_KEY, KEY)
        self.ubfd2.reload()
        write_key(self.keys[0], KEY, OTHER_KEY)
        self.ubfd1.reload()
        self.assert_recognised()
        write_key(self.keys[1], OTHER_KEY)
        self.ubfd2.reload()
        with Counted(self.ubfd2) as counted:
            self.somebody("alice").connect("tcp", V4, PORT, timeout=0.5)
        self.assertEqual(self.grown(counted), {"foreign_key": 1})


class ByHand(Recognising):
    """node1 is in the same cluster, but under an attacker's control: it sends SYNs under another user's name."""

    def start_daemons(self):
        key = write_key(FOLDER / "key", KEY)
        self.ubfd2 = self.start_ubfd(self.two, key=key)
        self.one.run("nft", "add table ip quiet; add chain ip quiet out { type filter hook output priority 0; }; "
                     "add rule ip quiet out tcp flags rst drop")
        self.source, self.sequence = (SOURCE, 40000), 1000

    def send(self, *packets):
        with self.one.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            for packet in packets:
                raw.sendto(packet, (V4, 0))

    def judged(self, options, user="alice", packets=1, **more):
        """The counters that grow with such SYNs. options: a function of the flow, or bytes."""
        destination = (V4, PORT)
        self.source = (SOURCE, self.source[1] + 1)
        made = options(self.source, destination, self.sequence, user) if callable(options) else options
        with Counted(self.ubfd2) as counted:
            self.send(*[syn(self.source, destination, self.sequence, made, **more)] * packets)
            time.sleep(0.2)
        return self.grown(counted)

    def test_a_stamp_that_is_right_is_recognised(self):
        self.assertEqual(self.judged(lambda *flow: PLAIN + stamp(*flow)), {"recognised": 1})
        self.assertEqual(self.judged(lambda *flow: stamp(*flow)), {"recognised": 1})

    def test_anything_else_is_not(self):
        def forged(*flow):
            made = bytearray(stamp(*flow))
            made[-1] ^= 1
            return PLAIN + bytes(made)

        now = time.time()
        for name, options, more, expected in (
                ("forged", forged, {}, "unfit"),
                ("another user's", lambda *flow: PLAIN + stamp(*flow[:3], "bob"), {}, "unfit"),
                ("of another key", lambda *flow: PLAIN + stamp(*flow, key=OTHER_KEY), {}, "foreign_key"),
                ("of another port", lambda a, b, *rest: PLAIN + stamp((a[0], 1), b, *rest), {}, "unfit"),
                ("of another sequence number", lambda a, b, s, u: PLAIN + stamp(a, b, s + 1, u), {}, "unfit"),
                ("too old", lambda *flow: PLAIN + stamp(*flow, when=now - 40), {}, "other_time"),
                ("to come", lambda *flow: PLAIN + stamp(*flow, when=now + 40), {}, "other_time"),
                ("of 65536 s ago", lambda *flow: PLAIN + stamp(*flow, when=now - 65536), {}, "unfit"),
                ("none", PLAIN, {}, "unstamped"),
                ("two", lambda *flow: stamp(*flow) * 2, {}, "unstamped"),
                ("first", lambda *flow: stamp(*flow) + PLAIN, {}, "unstamped"),
                ("40 bytes of nothing", b"\1" * 40, {}, "unstamped"),
                ("40 bytes", lambda *flow: b"\1" * 24 + stamp(*flow), {}, "unstamped"),
                ("an option without an end", lambda *flow: bytes([2, 255, 0, 0]) + stamp(*flow), {}, "unstamped"),
                ("of MPTCP", lambda *flow: bytes([30, 4, 1, 0]) + stamp(*flow), {}, "unstamped"),
                ("of Fast Open", lambda *flow: bytes([34, 2, 1, 1]) + stamp(*flow), {}, "unstamped"),
                ("of TCP-MD5", lambda *flow: bytes([19, 18] + [0] * 16 + [1, 1]) + stamp(*flow), {}, "unstamped"),
                ("with data", lambda *flow: PLAIN + stamp(*flow), {"data": b"hello"}, None),
                ("with IP options", lambda *flow: PLAIN + stamp(*flow), {"ip_options": b"\1" * 4}, None),
                ("a fragment", lambda *flow: PLAIN + stamp(*flow), {"fragment": 0x2000}, None)):
            with self.subTest(name):
                self.assertEqual(self.judged(options, **more), {expected: 1} if expected else {})

    def test_a_stamp_is_good_for_one_packet(self):
        self.assertEqual(self.judged(lambda *flow: PLAIN + stamp(*flow), packets=2).get("recognised"), 1)

    def test_a_flood_of_wrong_ones_opens_nothing_and_keeps_nobody_out(self):
        key_id = stamps.of_cluster(KEY).id

        def wrong(number):  # the tag alone
            option = struct.pack("!BBHBBHQ", 254, 16, 0x5542, 1, key_id, int(time.time()) & 0xffff, number)
            return syn((SOURCE, 1024 + number % 60000), (V4, PORT), number, PLAIN + option)

        flood = [wrong(number) for number in range(20000)]
        alice = self.person("alice", self.two)
        with Counted(self.ubfd2) as counted:
            sender = threading.Thread(target=self.send, args=flood)
            sender.start()
            seen = {alice.connect("tcp", V4, PORT) for _ in range(20)}
            sender.join()
            time.sleep(0.2)
        grown = self.grown(counted)
        self.assertEqual((seen, grown["recognised"]), ({"connected"}, 20), grown)
        self.assertGreater(grown["unfit"], 15000, grown)
        self.assert_alive(self.ubfd2)

    def test_replayed_when_its_connection_is_over_it_is_asked_about(self):
        source, destination = (SOURCE, 45000), (V4, PORT)
        packet = syn(source, destination, 1, PLAIN + stamp(source, destination, 1, "alice"))
        self.send(packet)
        wait_until(lambda: self.ubfd2.status()["recognition"]["recognised"] == 1)
        self.two.run("ss", "-K", "state", "syn-recv", "sport", f"= :{PORT}")
        with Counted(self.ubfd2) as counted:
            self.send(packet)
            time.sleep(0.2)
        self.assertEqual(self.grown(counted), {"repeated": 1})


class Untracked(Recognising):
    settings = {"peers": {"ranges": case.PEERS, "notrack": True}}

    def test_it_needs_no_connection_tracking(self):
        self.assert_recognised()
        self.assertEqual(self.connect("bob")[0], "EHOSTUNREACH")


if __name__ == "__main__":
    case.main()
