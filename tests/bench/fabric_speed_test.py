#!/usr/bin/python3
"""The cost of a packet of the fabric on the receiving node, and the flows that its kernel tracks in an all-to-all
start-up. Compares no ubfd, the fabric treated like Ethernet, and the fabric's own path. Asserts no time."""

import json
import pathlib
import re
import socket
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import Node, case, fabric  # noqa: E402
from lab.case import Case  # noqa: E402
from lab.fabric import hardware_of, join_by_fabric  # noqa: E402
from lab.person import received, send_from  # noqa: E402
from lab.ubfd import write_key  # noqa: E402

HERE, THERE = "10.78.0.1", fabric.V4
PORT = 7001
WAYS = {"no ubfd": None, "Ethernet path": False, "fabric path": True}  # fabric.enabled
ROUNDS, PACKETS = 5, 50000
RANKS = 8  # of each node; each connects to all of the other's
_ETH_P_ALL = 3  # linux/if_ether.h
# Counters of packets that passed the firewall, and reached a protocol or its socket.
ARRIVED = {"UDP": ("Udp", ("InDatagrams", "RcvbufErrors")), "TCP": ("Tcp", ("InSegs",))}


def median(results, key):
    return statistics.median(result[key] for result in results)


class Lane:
    """One treatment of the fabric, on two nodes of its own. All flows go to the second node."""

    def __init__(self, test, name, enabled):
        self.name = name
        self.one, self.two = nodes = [Node(f"{name.split()[0].lower()}{number}") for number in (1, 2)]
        self.fabric = join_by_fabric(self.one, self.two, fabric.ADDRESSES)
        test.addCleanup(self.fabric.close)
        if enabled is not None:
            settings = {"peers": {"ranges": fabric.PEERS}, "fabric": {"enabled": enabled}}
            for node in nodes:
                test.start_ubfd(node, settings, environment=hardware_of(node))
        self.here, self.there = test.person("alice", self.one), test.person("alice", self.two)

    def has_fabric_path(self):
        """Whether the chain of the fabric has rules."""
        return re.search(r"\bchain fabric {\s*[^\s}]", self.two.run("nft", "list", "ruleset")) is not None

    def tracked(self):
        return int(self.two.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))

    def establish(self):
        """Opens a flow of each protocol. Returns one packet of each, as seen on the wire."""
        with self.one.inside():
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        with wire:
            wire.bind(("ib0", _ETH_P_ALL))
            wire.settimeout(5)
            self._server = self.there.listen("udp", THERE, PORT, answer=False)
            self._client = self.here.listen("udp", HERE, 0, answer=False)
            self.send_datagram()
            self.there.listen("tcp", THERE, PORT)
            assert self.here.connect("tcp", THERE, PORT) == "connected"
            packets = {}
            while not ("UDP" in packets and "TCP" in packets):
                packet = wire.recv(65536)
                if packet[0] != 0x45 or packet[12:16] != socket.inet_aton(HERE):
                    continue
                to_port = int.from_bytes(packet[22:24], "big")
                if packet[9] == socket.IPPROTO_UDP and to_port == PORT:
                    packets["UDP"] = packet
                # The last packet is an acknowledgement of the echo: it has no data, and has no effect.
                elif packet[9] == socket.IPPROTO_TCP and to_port == PORT and self._is_last(packet):
                    packets["TCP"] = packet
        return packets

    def _is_last(self, packet):
        """Whether the packet has no data, and comes after the flow's own five bytes."""
        header = 20 + (packet[32] >> 4) * 4
        sequence = int.from_bytes(packet[24:28], "big")
        if packet[33] & 0x02:  # SYN
            self._first = (sequence + 1) & 0xffffffff
        elif len(packet) == header and sequence != self._first:
            return True
        return False

    def send_datagram(self):
        """Sends until a datagram has arrived, which keeps the UDP flow alive."""
        self.here.do(send_from, self._client, THERE, PORT)
        while self.there.do(received, self._server, timeout=0.2) is None:
            self.here.do(send_from, self._client, THERE, PORT)

    def arrived(self, protocol):
        name, fields = ARRIVED[protocol]
        names, values = [line.split()[1:] for line in self.two.run("cat", "/proc/net/snmp").splitlines()
                         if line.startswith(f"{name}: ")]
        return sum(int(value) for field, value in zip(names, values) if field in fields)

    def inject(self, packet, count):
        """Returns the output of `inject`."""
        program = case.build / "tests" / "bench" / "inject"
        device = self.fabric.devices[1]
        done = subprocess.run([program, str(device), str(count)], input=packet, pass_fds=[device], check=True,
                              stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def start_all_to_all(self):
        """Opens N x N TCP connections, and N x N UDP flows with answers, like the ranks of a job."""
        clients = [self.here.listen("udp", HERE, 0, answer=False) for _ in range(RANKS)]
        for port in range(PORT, PORT + RANKS):
            self.there.listen("tcp", THERE, port)
            self.there.listen("udp", THERE, port)
            for client in clients:
                assert self.here.connect("tcp", THERE, port) == "connected"
                self.here.do(send_from, client, THERE, port)
                assert self.here.do(received, client, timeout=5) == "hello"


class FabricSpeed(Case):
    def setUp(self):
        super().setUp()
        self.key = write_key(case.FOLDER / "key")
        self.lanes = [Lane(self, name, enabled) for name, enabled in WAYS.items()]

    def test_packets_of_the_fabric_are_measured_on_every_path(self):
        packets = {lane: lane.establish() for lane in self.lanes}
        results = {(lane.name, protocol): [] for lane in self.lanes for protocol in ARRIVED}
        for number in range(ROUNDS):
            turn = number % len(self.lanes)
            for protocol in ARRIVED:
                for lane in self.lanes[turn:] + self.lanes[:turn]:
                    lane.send_datagram()
                    before = lane.arrived(protocol)
                    results[lane.name, protocol].append(lane.inject(packets[lane][protocol], PACKETS))
                    # Datagrams that wait in the socket are not counted yet.
                    self.assertGreater(lane.arrived(protocol) - before, PACKETS * 0.95, f"{lane.name}, {protocol}")
        print(f"\n\nEstablished flows into a node: medians of {ROUNDS} rounds, interleaved; CPU time is of a packet\n\n"
              f"{'':16}" + "".join(f"{f'{protocol}/s':>10}{'CPU ns':>8}{'of none':>9}   " for protocol in ARRIVED))
        for lane in self.lanes:
            row = f"{lane.name:16}"
            for protocol in ARRIVED:
                rate, cpu = (median(results[lane.name, protocol], key) for key in ("packets_per_second", "cpu_ns"))
                row += f"{rate:10.0f}{cpu:8.0f}{cpu / median(results['no ubfd', protocol], 'cpu_ns'):9.2f}   "
            print(row + self.note(lane))

    def test_an_all_to_all_start_leaves_nothing_tracked_on_the_fabric(self):
        print(f"\n\nConnections tracked after {RANKS} x {RANKS} of TCP and as many of UDP\n")
        for lane in self.lanes:
            lane.start_all_to_all()
            print(f"{lane.name:16}{lane.tracked():10}{self.note(lane)}")
        none, ethernet, own = self.lanes
        self.assertEqual(none.tracked(), 0)
        self.assertGreaterEqual(ethernet.tracked(), 2 * RANKS * RANKS)
        if not own.has_fabric_path():
            self.skipTest("this ubfd has no chain 'fabric', no path of the fabric's own")
        self.assertEqual(own.tracked(), 0)

    def note(self, lane):
        missing = lane is self.lanes[2] and not lane.has_fabric_path()
        return "  (this ubfd has none: that of Ethernet)" if missing else ""


if __name__ == "__main__":
    case.main()
