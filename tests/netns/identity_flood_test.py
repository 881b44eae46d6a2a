#!/usr/bin/python3
"""Root of one node floods another node with certificates and with sealed bytes that do not open, from more addresses
than any table has room for. The node's memory stays bounded, and its real peers are answered and stay proven."""

import ipaddress
import pathlib
import secrets
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, ident, identity  # noqa: E402
from lab.case import Counted  # noqa: E402
from lab.certified import HONEST, VICTIM, Certified  # noqa: E402
from lab.identity import put_roster  # noqa: E402

PORT = 9001
RANGES = ["10.64.0.0/10", "fd77::/64"]  # 4 million addresses
SOURCES = 200_000  # three times as many as a table holds
STATED = struct.Struct(">2sBBBBHIIQ")


def garbage(sender, receiver, channel=0):
    """A sealed question, it seems."""
    size = 120
    return STATED.pack(b"US", ident.VERSION, channel, ident.QUESTION, 1, size, sender, receiver,
                       1_900_000_000_000) + secrets.token_bytes(size - STATED.size)


class Flood(Certified):
    def settings_of(self, member, **options):
        return super().settings_of(member, **options) | {"peers": {"ranges": RANGES}}

    listed = ("rooted", "victim", "honest")

    def setUp(self):
        super().setUp()
        self.roster = put_roster(self.authority.roster([getattr(self, name) for name in self.listed]))
        for node in (self.two, self.three):
            for scope in ("all", "eth0"):  # whatever source comes in
                node.run("sysctl", "-qw", f"net.ipv4.conf.{scope}.rp_filter=0")
        self.ubfd, self.peer = (self.start(*pair) for pair in ((self.two, self.victim), (self.three, self.honest)))
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        self.alice = self.person("alice", self.three)
        self.sent = 0

    def flood(self, datagrams, victim=VICTIM):
        """datagrams: pairs of a source and the bytes."""
        to = socket.inet_aton(victim)
        with self.one.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            for source, data in datagrams:
                packet = struct.pack("!BBHHHBBH4s4sHHHH", 0x45, 0, 28 + len(data), 7, 0, 64, 17, 0, source, to, ident.PORT,
                                     ident.PORT, 8 + len(data), 0) + data
                raw.sendto(packet, (victim, 0))
                self.sent += 1

    def everything(self):
        own, theirs = (identity.key_id(member.keys.public) for member in (self.victim, self.honest))
        honest = socket.inet_aton(HONEST)
        certificates = [identity.introduction(self.rooted.certificate, asks) for asks in (False, True)]
        replayed = identity.introduction(self.honest.certificate, True)
        unopened = [garbage(number, own, number % 8) for number in range(64)]
        in_the_peers_name = [garbage(theirs, own, channel) for channel in range(8)]
        first = int(ipaddress.IPv4Address("10.100.0.0"))
        for number in range(SOURCES):
            source = (first + number).to_bytes(4, "big")
            yield source, unopened[number % 64]
            if number % 8 == 0:
                yield source, certificates[number // 8 % 2]
                yield honest, in_the_peers_name[number // 8 % 8]
            if number % 64 == 0:
                yield honest, replayed

    def memory(self):
        """In MB."""
        status = pathlib.Path(f"/proc/{self.ubfd.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def proof(self):
        return {peer["address"]: peer["proof"] for peer in self.ubfd.status()["peers"]}.get(HONEST, "")

    def test_real_peers_are_answered_and_stay_proven(self):
        self.assertEqual(self.alice.connect("tcp", VICTIM, PORT), "connected")
        before, outcomes = self.memory(), []
        with Counted(self.ubfd) as counted:
            sender = threading.Thread(target=self.flood, args=(self.everything(),))
            sender.start()
            while sender.is_alive():
                outcomes.append(str(self.alice.connect("tcp", VICTIM, PORT)))
            sender.join()
        grown = self.memory() - before
        rejected = {name: counted[f"ident.rejected.{name}"] for name in ("no-certificate", "wrong-key", "malformed")}
        print(f"{self.sent} datagrams, rejected {rejected}; {len(outcomes)} connections, {grown:.0f} MB more",
              file=sys.stderr)
        self.assertGreater(sum(rejected.values()), self.sent / 2)
        self.assertEqual(set(outcomes), {"connected"})
        self.assertGreater(len(outcomes), 20)
        self.assertLess(grown, 45)
        self.assertIn("of honest", self.proof())
        self.assertEqual(self.alice.connect("tcp", VICTIM, PORT), "connected")
        self.assert_alive(self.ubfd, self.peer)


class InANewNodesName(Flood):
    """No roster lists these two yet. The forged bytes in the name of each are its certificate but for one bit."""

    listed = ("rooted",)

    def forged(self, member, name):
        source = socket.inet_aton(name)
        datagrams = [identity.introduction(member.certificate[:-1] + bytes([member.certificate[-1] ^ 1]), asks)
                     for asks in (False, True)]
        while not self.over.is_set():
            yield source, datagrams[self.sent % 2]

    def test_forged_certificates_keep_no_new_node_out(self):
        self.over = threading.Event()
        senders = [threading.Thread(target=self.flood, args=(self.forged(*whose), victim)) for whose, victim in
                   (((self.honest, HONEST), VICTIM), ((self.victim, VICTIM), HONEST))]
        for sender in senders:
            sender.start()
        try:
            time.sleep(1.5)  # the checks of this second are used up
            outcomes = [str(self.alice.connect("tcp", VICTIM, PORT)) for _ in range(5)]
        finally:
            self.over.set()
            for sender in senders:
                sender.join()
        print(f"{self.sent} datagrams; {outcomes}", file=sys.stderr)
        self.assertEqual(outcomes[-1], "connected")
        self.assertIn("of honest", self.proof())


if __name__ == "__main__":
    case.main()
