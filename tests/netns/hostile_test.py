#!/usr/bin/python3
"""A user storms, floods, or lies in wait, and all others go on. The test prints the cost for the others."""

import json
import pathlib
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, ident, load  # noqa: E402
from lab.case import PROJ, V4, Counted, TwoNodes, wait_until  # noqa: E402
from lab.node import Node, join  # noqa: E402

PORT, SINK, CLOSED_PORT = 9001, 9002, 9999
MOST_MEMORY_KB = 96 * 1024


class Hostile(TwoNodes):
    """node3 is another peer. Its users take no part in the attack from node1."""

    settings = {"peers": {"ranges": [*case.PEERS, "10.78.0.0/16", "10.79.0.0/24"]}}

    def setUp(self):
        super().setUp()
        self.storm = case.build / "tests" / "bench" / "storm"
        for node in (self.one, self.two):
            node.set_sysctl("net.ipv4.ip_local_port_range", "10000 60999")
            node.set_sysctl("net.core.somaxconn", "8192")
        self.three = Node("node3")
        join(self.three, self.two, [("10.79.0.3/24", "10.79.0.2/24")], interface="eth1")
        self.three.set_sysctl("net.ipv4.icmp_ratemask", "6160")
        self.ubfd3 = self.start_ubfd(self.three)
        self.person("carol", self.two).listen("tcp", "0.0.0.0", PORT, backlog=1024)
        self.carol = self.person("carol", self.three)
        self.before = self.latencies("in peace")

    def latencies(self, when, address="10.79.0.2"):
        """The times of carol's connections, which must all succeed."""
        times = sorted(self.carol.do(load.connect_times, address, PORT, 200))
        self.assertEqual(len(times), 200)
        print(f"carol's connections {when}: p50 {statistics.median(times) * 1000:.2f} ms, "
              f"p99 {times[197] * 1000:.2f} ms, slowest {times[-1] * 1000:.2f} ms", flush=True)

    def memory(self):
        status = pathlib.Path(f"/proc/{self.ubfd2.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))

    def assert_unharmed(self):
        self.assert_alive(self.ubfd1, self.ubfd2, self.ubfd3)
        if not case.is_sanitized():
            self.assertLess(self.memory(), MOST_MEMORY_KB)
        self.assertLess(self.ubfd2.log().count("\n"), 400)  # at most 256 different denials in ten seconds
        self.latencies("afterwards")

    def start_storm(self, user, *words):
        process = self.one.start("prlimit", "--nofile=16384", self.storm, *words, user=user, stdout=-1)
        return lambda: json.loads(process.communicate(timeout=200)[0])


class Storms(Hostile):
    def test_4000_connects_at_once_of_one_user(self):
        server = self.two.start(self.storm, "serve", "tcp", SINK, user="alice", stdout=-1)
        self.assertEqual(server.stdout.readline(), "ready\n")
        storm = self.start_storm("alice", "connect", "tcp", V4, SINK, 40000, 4000)
        self.latencies("in a storm of 4000 at a time")
        result = storm()
        self.assertEqual((result["connected"], result["lost"], result["errors"]), (40000, 0, {}))
        self.assert_unharmed()
        server.kill()
        server.communicate()

    def test_a_user_who_is_refused_in_a_loop(self):
        self.person("alice", self.two, group=PROJ).listen("tcp", "0.0.0.0", SINK, backlog=1024)
        storm = self.start_storm("carol", "connect", "tcp", V4, SINK, 10000, 64)
        self.latencies("while somebody is refused in a loop")
        # ubfd must search for a group member as well, and still finds them during the storm.
        self.assertEqual(self.person("bob", self.two).connect("tcp", V4, SINK), "connected")
        result = storm()
        self.assertEqual(result["connected"], 0)
        self.assert_unharmed()

    def test_udp_to_a_closed_port(self):
        flood = self.start_storm("bob", "flood", V4, CLOSED_PORT, 4000)
        self.latencies("in a flood of UDP")
        sent = flood()["sent"]
        print(f"{sent / 4:.0f} datagrams a second")
        self.assertGreater(sent, 50_000)  # in 4 s, on a machine with other work
        self.assert_unharmed()


class Peers(Hostile):
    def test_ten_thousand_silent_peers(self):
        """All of them are node1, which has as many addresses and no ubfd."""
        self.ubfd1.stop()
        self.one.run("ip", "route", "add", "local", "10.78.0.0/16", "dev", "lo")
        self.two.run("ip", "route", "add", "10.78.0.0/16", "via", "10.77.0.1")
        crowd = self.person("alice", self.one, descriptors=16384)
        with Counted(self.ubfd2) as counted:
            crowd.do(load.connect_from_many, "10.78.0.0", 10_000, V4, PORT)
            self.latencies("among 10000 silent peers")
            wait_until(lambda: self.ubfd2.status()["peers_silent"] > 2000, 10)
        self.assertGreater(counted["ident.questions"], 2000)
        self.dismiss(crowd)
        self.ubfd1.start()
        self.assert_unharmed()

    def test_a_peer_that_takes_back_what_it_never_said(self):
        """It floods with notices for flows that nobody knows. Only one of ident's threads reads them, and others work."""
        self.ubfd1.stop()
        self.ubfd2.reload_with(ident={"clock_skew_ms": 60_000})
        peer = ident.Peer(self.one, self.key.read_text().split()[1])
        self.addCleanup(peer.close)
        own, to = (case.ADDRESSES[0][0].split("/")[0], ident.PORT), (V4, ident.PORT)
        notices = {protocol: ident.flow((own[0], SINK), (V4, PORT), protocol) for protocol in (6, 17)}
        datagrams = []
        for number in range(140_000):  # more than the node remembers
            entries = [number.to_bytes(8, "big") + notices[6 if number % 2 else 17]] * 29
            datagrams.append(ident.datagram(entries, own, to, peer.key, kind=ident.GONE, channel=0))
        with Counted(self.ubfd2) as counted:
            flood = threading.Thread(target=peer.flood, args=(datagrams, to, 6))
            flood.start()
            while flood.is_alive():
                self.latencies("in a flood of notices")
            flood.join()
        self.assertGreater(counted["ident.over_share"], 0)
        self.assertGreater(counted["ident.gone_received"], 0)
        peer.close()
        self.ubfd1.start()
        self.assert_unharmed()

    def test_200000_malformed_datagrams(self):
        self.ubfd1.stop()
        peer = ident.Peer(self.one, "ab" * 32)
        self.addCleanup(peer.close)
        with Counted(self.ubfd2) as counted:
            for number in range(200_000):
                try:
                    peer.send(b"UB\2" + number.to_bytes(4, "big") * (number % 300), (V4, ident.PORT))
                except OSError:
                    pass
                if number % 100_000 == 50_000:
                    self.latencies("while malformed datagrams come in")
            time.sleep(0.5)
        self.assertGreater(counted["ident.rejected.malformed"], 100_000)
        peer.close()
        self.ubfd1.start()
        self.assert_unharmed()


class Control(Hostile):
    def test_clients_that_never_read(self):
        clients = []
        for _ in range(100):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(self.ubfd2.socket))
            client.setblocking(False)
            try:
                while True:
                    client.send(b'{"command":"status"}\n')
            except OSError:
                pass
            clients.append(client)
        self.latencies("while clients of the control socket don't read")
        self.assertTrue(self.ubfd2.status()["ok"])
        for client in clients:
            client.close()
        self.assert_unharmed()

    def test_words_that_make_no_request(self):
        for words in (b"\n", b"[]\n", b"nonsense\n", b'{"command":7}\n', b"{" * 4000 + b"\n", b"\xff\0\n",
                      b"x" * 100_000, b'{"command":"explain","from":{},"to":[]}\n'):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(str(self.ubfd2.socket))
                try:
                    client.sendall(words)
                    answer = client.recv(65536)
                except OSError:
                    answer = b""
                self.assertTrue(answer == b"" or not json.loads(answer)["ok"], answer)
        self.assert_unharmed()


if __name__ == "__main__":
    case.main()
