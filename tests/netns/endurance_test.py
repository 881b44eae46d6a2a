#!/usr/bin/python3
"""Loads and accidents that stopped another such firewall. None may stop, stall or open this one."""

import json
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load, person  # noqa: E402
from lab.case import V4, V6, Counted, TwoNodes, wait_until  # noqa: E402

PORT, SINK, CLOSED_PORT = 9001, 9002, 9999
NETLINK_SOCK_DIAG = 4  # linux/netlink.h


class Endurance(TwoNodes):
    def setUp(self):
        super().setUp()
        self.server = self.person("alice", self.two)
        self.server.listen("tcp", "::", PORT, backlog=4096)
        self.alice = self.person("alice", self.one)
        self.storm = case.build / "tests" / "bench" / "storm"

    def flood(self, user, milliseconds):
        """Sends UDP from many ports to a port without a listener. The returned function waits for the end and returns
        the number of datagrams."""
        process = self.one.start(self.storm, "flood", V4, CLOSED_PORT, milliseconds, user=user, stdout=-1)
        return lambda: json.loads(process.communicate()[0])["sent"]

    def assert_still_judges(self):
        self.assert_alive(self.ubfd1, self.ubfd2)
        self.assertEqual(self.person("alice", self.one).connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")


class Storms(Endurance):
    def setUp(self):
        super().setUp()
        for node in (self.one, self.two):
            node.set_sysctl("net.ipv4.ip_local_port_range", "10000 60999")
            node.set_sysctl("net.core.somaxconn", "4096")

    def serve(self, user, protocol, port):
        process = self.two.start(self.storm, "serve", protocol, port, user=user, stdout=-1)
        self.assertEqual(process.stdout.readline(), "ready\n")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def connect(self, user, protocol, address, port, count, concurrency):
        return json.loads(self.one.run(self.storm, "connect", protocol, address, port, count, concurrency,
                                       user=user))

    def test_512_connections_at_a_time(self):
        self.serve("alice", "tcp", SINK)
        for address in (V4, V6):
            result = self.connect("alice", "tcp", address, SINK, 10000, 512)
            self.assertEqual((result["connected"], result["lost"], result["errors"]), (10000, 0, {}))
        self.assert_still_judges()

    def test_512_connections_at_a_time_of_somebody_who_may_not(self):
        self.serve("alice", "tcp", SINK)
        result = self.connect("bob", "tcp", V4, SINK, 5000, 512)
        self.assertEqual((result["connected"], result["lost"]), (0, 0))
        self.assertEqual(set(result["errors"]), {"EHOSTUNREACH"})
        self.assert_still_judges()
        # Thousands of refusals of one kind take one line, and a second line with their count.
        self.assertLess(len(self.ubfd2.denials()), 10)

    def test_128_udp_flows_at_a_time(self):
        """Not more flows, since the server's own receive buffer holds about 270 datagrams."""
        self.serve("alice", "udp", SINK)
        result = self.connect("alice", "udp", V4, SINK, 10000, 128)
        self.assertEqual((result["connected"], result["lost"], result["errors"]), (10000, 0, {}))
        self.assert_still_judges()


class Floods(Endurance):
    def test_udp_to_a_closed_port(self):
        """Datagrams of any user are refused, and no other user notices."""
        with Counted(self.ubfd2) as counted:
            flood = self.flood("bob", milliseconds=3000)
            self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")
            self.assertGreater(flood(), 20_000)
        self.assertNotIn("different-user", counted.reasons())
        self.assert_still_judges()

    def test_a_one_way_udp_stream_stays_in_the_kernel(self):
        sink = self.server.do(person.bound, "udp", "0.0.0.0", SINK)
        self.server.do(load.count_arrivals, sink)
        source = self.alice.do(person.send_to, "udp", V4, SINK)
        wait_until(lambda: self.server.do(load.arrivals, sink) == 1)
        with Counted(self.ubfd2) as counted:
            sent = self.alice.do(load.send_many, source, 20_000, 200)
            wait_until(lambda: self.server.do(load.arrivals, sink) >= sent + 1, 10, "all to arrive")
        self.assertEqual(counted.reasons(), {})

    def test_the_first_datagrams_of_a_stream_wait_for_the_verdict_and_arrive(self):
        sink = self.server.do(person.bound, "udp", "0.0.0.0", SINK)
        self.server.do(load.count_arrivals, sink)
        source = self.alice.do(person.send_to, "udp", V4, SINK)
        self.alice.do(load.send_many, source, 100, 100)
        wait_until(lambda: self.server.do(load.arrivals, sink) >= 101, what="all to arrive")

    def test_two_first_datagrams_of_one_socket_at_once_both_arrive(self):
        """A resolver sends its questions for A and AAAA like this."""
        sink = self.server.do(person.bound, "udp", "0.0.0.0", SINK)
        self.server.do(load.count_arrivals, sink)
        for number in range(1, 101):
            source = self.alice.do(person.send_to, "udp", V4, SINK)
            self.alice.do(load.send_many, source, 1, 1)
            wait_until(lambda n=number: self.server.do(load.arrivals, sink) >= 2 * n, 2, f"both of pair {number}")
            self.alice.close(source)


class Accidents(Endurance):
    def pending(self, count):
        """Opens connections whose questions stay unanswered, since the peer's ubfd stands still."""
        self.ubfd1.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.ubfd1.process.send_signal, signal.SIGCONT)
        handles = [self.alice.do(person.send_to, "tcp", V4, PORT) for _ in range(count)]
        wait_until(lambda: self.ubfd2.status()["ident"]["questions"] >= count)
        return handles

    def test_an_interface_that_goes_down_under_waiting_packets(self):
        self.assert_still_judges()  # after this, each peer has answered
        with Counted(self.ubfd2) as counted:
            handles = self.pending(200)
            self.two.run("ip", "link", "set", "eth0", "down")
            self.ubfd1.process.send_signal(signal.SIGCONT)
            wait_until(lambda: not any(queue["waiting"] for queue in self.ubfd2.status()["queues"]))
            time.sleep(1)
        self.assertGreater(counted["packets_gone"], 0)
        self.assertEqual(counted["verdict_errors"], 0)
        self.two.run("ip", "link", "set", "eth0", "up")
        self.two.run("ip", "addr", "replace", "fd77::2/64", "dev", "eth0", "nodad")
        self.assertEqual({self.alice.do(person.outcome, handle, timeout=15) for handle in handles}, {"connected"})
        self.assert_still_judges()

    def test_a_full_queue_drops_and_goes_on(self):
        self.ubfd2.stop()
        self.ubfd2.configure({**self.ubfd2.settings, "queue": {"length": 16, "count": 1}})
        self.ubfd2.start()
        self.ubfd2.process.send_signal(signal.SIGSTOP)
        handles = [self.alice.do(person.send_to, "tcp", V4, PORT) for _ in range(100)]
        self.ubfd2.process.send_signal(signal.SIGCONT)
        self.assertEqual({self.alice.do(person.outcome, handle, timeout=10) for handle in handles}, {"connected"})
        queue = self.ubfd2.status()["queues"][0]
        self.assertGreaterEqual(queue["full_drops"], 80)
        self.assert_still_judges()

    def test_a_flood_while_ubfd_stands_still(self):
        self.ubfd2.process.send_signal(signal.SIGSTOP)
        self.flood("bob", milliseconds=3000)()
        self.ubfd2.process.send_signal(signal.SIGCONT)
        wait_until(lambda: not any(queue["waiting"] for queue in self.ubfd2.status()["queues"]), 20,
                   "the queues to empty")
        self.assertGreater(sum(queue["full_drops"] for queue in self.ubfd2.status()["queues"]), 0)
        self.assert_still_judges()

    def has_dropped_notices(self):
        rows = [line.split() for line in self.two.run("cat", "/proc/net/netlink").splitlines()]
        bus, drops = rows[0].index("Eth"), rows[0].index("Drops")
        return any(row[bus] == str(NETLINK_SOCK_DIAG) and row[drops] != "0" for row in rows[1:])

    def test_lost_notices_of_closed_sockets(self):
        """After ENOBUFS the owners of the closed sockets are unknown, so ubfd asks again about every UDP flow."""
        old = self.server.listen("udp", "0.0.0.0", SINK)
        thief = self.person("bob", self.two)
        seen = self.alice.connect("udp", V4, SINK)
        self.server.listen("udp", "0.0.0.0", SINK + 1)
        stays = self.alice.connect("udp", V4, SINK + 1)
        self.assertEqual((seen, stays), ("connected", "connected"))
        self.ubfd2.process.send_signal(signal.SIGSTOP)
        thief.do(load.churn, 60_000)
        self.server.close(old)
        trap = thief.do(person.bound, "udp", "0.0.0.0", SINK)
        wait_until(self.has_dropped_notices, 30, "that the kernel has dropped notices, which it sends in its own time")
        self.ubfd2.process.send_signal(signal.SIGCONT)
        wait_until(lambda: self.ubfd2.status()["notices_lost"], 30, "the loss")
        wait_until(lambda: f"dport={SINK} " not in self.two.run("conntrack", "-L", "-p", "udp"), 0.5,
                   "that the kernel forgets")
        for _ in range(5):
            self.alice.say(seen.handle, "a secret", timeout=0.05)
        self.assertIsNone(thief.do(person.received, trap, timeout=0.3))
        self.assertEqual(self.alice.say(stays.handle), "hello")
        self.assert_still_judges()


if __name__ == "__main__":
    case.main()
