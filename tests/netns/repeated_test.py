#!/usr/bin/python3
"""A repeated SYN: ubfd asks nothing about an allowed connection, and a denied one gains nothing."""

import pathlib
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import V4, V6, Counted, TwoNodes, wait_until  # noqa: E402

PORT = 9001
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86dd  # linux/if_ether.h
SYN = 2


class Tap:
    """Captures all frames that leave a node over eth0, and can send them again."""

    def __init__(self, node):
        with node.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.bind(("eth0", ETH_P_ALL))
        self._socket.settimeout(5)

    def close(self):
        self._socket.close()

    def next_syn(self, port):
        """The frame with a checksum, which the kernel would leave to the interface."""
        while True:
            frame = bytearray(self._socket.recv(2048))
            kind = int.from_bytes(frame[12:14], "big")
            at = {ETH_P_IP: 14 + 20, ETH_P_IPV6: 14 + 40}.get(kind)
            protocol = frame[14 + (9 if kind == ETH_P_IP else 6)] if at else None
            if protocol == socket.IPPROTO_TCP and frame[at + 13] == SYN and frame[at + 2:at + 4] == port.to_bytes(2, "big"):
                return with_checksum(frame, at)

    def send(self, frame):
        self._socket.send(frame)


def with_checksum(frame, at):
    """The frame with the checksum of the TCP segment at this offset (RFC 9293, 3.1)."""
    frame = bytearray(frame)
    frame[at + 16:at + 18] = b"\0\0"
    segment = bytes(frame[at:])
    ends = bytes(frame[26:34] if at == 14 + 20 else frame[22:54])
    total = ends + struct.pack("!HH", socket.IPPROTO_TCP, len(segment)) + segment
    total += b"\0" * (len(total) % 2)
    checksum = sum(struct.unpack(f"!{len(total) // 2}H", total))
    while checksum >> 16:
        checksum = (checksum & 0xffff) + (checksum >> 16)
    frame[at + 16:at + 18] = (~checksum & 0xffff).to_bytes(2, "big")
    return bytes(frame)


class Repeated(TwoNodes):
    settings = {"queue": {"count": 1}}

    def setUp(self):
        super().setUp()
        self.server = self.person("alice", self.two)
        self.server.listen("tcp", "::", PORT)
        self.alice = self.person("alice", self.one)
        self.tap = Tap(self.one)
        self.addCleanup(self.tap.close)

    def send_again(self, frame, times=5):
        """Returns node2's counts of the verdicts, and the number of its questions."""
        before = self.judged()
        with Counted(self.ubfd2) as counted:
            for _ in range(times):
                self.tap.send(frame)
            wait_until(lambda: self.judged() >= before + times, 5, "the verdicts")
        return counted.reasons(), counted["ident.questions"]

    def judged(self):
        return sum(self.ubfd2.status()["reasons"].values())

    def test_of_a_connection_that_is_there_is_dropped_without_a_question(self):
        for address in (V4, V6):
            with self.subTest(address):
                seen = self.alice.connect("tcp", address, PORT)
                self.assertEqual(seen, "connected")
                syn = self.tap.next_syn(PORT)
                self.assertEqual(self.send_again(syn), ({"repeated": 5}, 0))
                self.assertEqual(self.alice.say(seen.handle), "hello")

    def test_with_another_number_is_asked_about(self):
        """The SYN probably comes from a node that has restarted and forgotten the connection."""
        seen = self.alice.connect("tcp", V4, PORT)
        syn = bytearray(self.tap.next_syn(PORT))
        at = 14 + 20
        syn[at + 4] ^= 0x40
        reasons, questions = self.send_again(with_checksum(syn, at), times=1)
        self.assertNotIn("repeated", reasons)
        self.assertEqual(questions, 1)
        self.assertEqual(self.alice.say(seen.handle), "hello")

    def test_of_a_connection_that_is_over_is_judged_as_ever(self):
        """Another user's server has the port by now."""
        seen = self.alice.connect("tcp", V4, PORT)
        syn = self.tap.next_syn(PORT)
        self.alice.do(person.close, seen.handle)
        self.dismiss(self.server)
        self.person("bob", self.two).listen("tcp", "::", PORT)
        reasons, questions = self.send_again(syn, times=1)
        self.assertNotIn("repeated", reasons)
        self.assertNotIn("same-user", reasons)
        self.assertEqual(questions, 1)

    def test_of_one_that_is_being_opened_is_left_to_the_kernel(self):
        """The kernel repeats its own answer too, and the answer gets through in the end."""
        self.one.run("nft", "add table inet lossy; add chain inet lossy input { type filter hook input priority 0; }; "
                            "add rule inet lossy input tcp flags & (syn | ack) == syn | ack drop")
        for address in (V4, V6):
            with self.subTest(address):
                with Counted(self.ubfd2) as counted:
                    handle = self.alice.do(person.send_to, "tcp", address, PORT)
                    time.sleep(3.5)  # the kernel retransmits it, first after a second
                self.assertEqual(set(counted.reasons()), {"same-user", "repeated"})
                self.assertEqual((counted.reasons()["same-user"], counted["ident.questions"]), (1, 1))
        self.one.run("nft", "delete", "table", "inet", "lossy")
        self.assertEqual(self.alice.do(person.outcome, handle, timeout=10), "connected")


if __name__ == "__main__":
    case.main()
