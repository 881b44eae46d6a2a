"""Every socket that an ordinary user can open on a stock kernel. Each must be of a kind that is listed here."""

import ctypes
import errno
import os
import pathlib
import re
import socket
import struct
import time

from lab import person
from lab.case import V4, V6, Counted, TwoNodes

PORT, THERE = 9001, 9501
FAMILIES = range(1, 64)  # more than exist
TYPES = {1: "stream", 2: "dgram", 3: "raw", 4: "rdm", 5: "seqpacket", 6: "dccp", 10: "packet"}
PROTOCOLS = range(0, 264)  # up to MPTCP's
INET, INET6, RXRPC, SMC, TIPC = 2, 10, 33, 43, 30

JUDGED = "TCP and UDP: ubfd is asked"
PING = "ICMP echo: passes, and in the node's own name"
REFUSED = "neither TCP nor UDP, and not named in scope.protocols: refused on the way out and in"
KERNELS = "UDP by a socket of the kernel's that all its users share: refused to watched ports (kernel_socket)"
NODE = "never leaves the node, and is no network"
LINK = "another network than IP, or hardware that a node of a cluster has not: modprobe's list closes it"
NEEDS_ROOT = "can be opened, but does nothing until a privileged program gives it a device, a tunnel or a bearer"
OVER_TCP = "its connections are TCP's, and are judged as such"
OVER_RDMA = "TCP that is judged when it begins; then RDMA, where the node has it: modprobe's list closes it"

BY_FAMILY = {
    1: NODE,  # AF_UNIX
    4: LINK, 5: LINK, 8: LINK, 9: LINK, 12: LINK, 20: LINK,  # IPX, AppleTalk, ATM, X.25, DECnet
    3: LINK, 6: LINK, 11: LINK,  # amateur radio
    16: NODE,  # AF_NETLINK
    24: NEEDS_ROOT,  # PPPoX: PPP over Ethernet, L2TP and PPTP, whose devices root makes
    26: LINK,  # LLC
    29: LINK, 31: LINK, 35: LINK, 36: LINK, 37: LINK, 39: LINK,  # CAN, Bluetooth, Phonet, 802.15.4, CAIF, NFC
    TIPC: NEEDS_ROOT,  # without a bearer, TIPC stays on the node
    RXRPC: KERNELS,
    38: NODE,  # AF_ALG: the kernel's ciphers
    40: NODE,  # vsock: a virtual machine and its host
    41: OVER_TCP,  # KCM: takes TCP sockets that are connected
    42: LINK,  # QRTR: modems
    SMC: OVER_RDMA,
}
# The key is (type, protocol) of AF_INET and AF_INET6.
OF_IP = {(1, 0): JUDGED, (1, 6): JUDGED, (1, 262): JUDGED, (2, 0): JUDGED, (2, 17): JUDGED,
         (2, 1): PING, (2, 58): PING,
         (2, 115): REFUSED,  # L2TP over IP
         (2, 136): REFUSED,  # UDP-Lite
         (1, 132): REFUSED, (5, 0): REFUSED, (5, 132): REFUSED,  # SCTP
         (6, 0): REFUSED, (6, 33): REFUSED}  # DCCP


def why(family, kind, protocol):
    if family in (INET, INET6):
        return OF_IP.get((kind, protocol))
    return BY_FAMILY.get(family)


def all_that_open(wanted):
    """Returns each (family, type, protocol) that a socket can be opened with."""
    opened = []
    for family, kind, protocol in wanted:
        try:
            socket.socket(family, kind, protocol).close()
        except OSError:
            continue
        opened.append((family, kind, protocol))
    return opened


def autoloaded(release):
    """The kinds of sockets for which the kernel asks modprobe and modprobe knows a module."""
    found = set()
    for file in ("modules.alias", "modules.builtin.alias.bin"):
        path = pathlib.Path("/lib/modules", release, file)
        if not path.exists() or path.suffix == ".bin":
            continue
        for match in re.finditer(r"^alias net-pf-(\d+)(?:-proto-(\d+))?(?:-type-(\d+))? ", path.read_text(), re.M):
            family, protocol, kind = (match[1], match[2] or 0, match[3])
            for each in [kind] if kind else TYPES:
                found.add((int(family), int(each), int(protocol)))
    return sorted(found)


class Message(ctypes.Structure):
    """struct msghdr."""
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("parts", ctypes.c_void_p),
                ("part_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


def call_by_rxrpc(address, port):
    """Begins a call of AF_RXRPC (linux/rxrpc.h), whose first datagram is sent at once."""
    family, length = (INET6, 28) if ":" in address else (INET, 16)
    transport = struct.pack("=H", family) + struct.pack("!H", port)
    transport += (bytes(4) if family == INET6 else b"") + socket.inet_pton(family, address)
    name = ctypes.create_string_buffer(struct.pack("=HHHH", RXRPC, 1, socket.SOCK_DGRAM, length)
                                       + transport.ljust(28, b"\0"), 36)
    text = ctypes.create_string_buffer(b"forged")
    part = (ctypes.c_size_t * 2)(ctypes.addressof(text), 6)
    control = ctypes.create_string_buffer(struct.pack("NiiL", 24, 272, 1, 1), 24)  # SOL_RXRPC, RXRPC_USER_CALL_ID
    message = Message(ctypes.addressof(name), 36, ctypes.addressof(part), 1, ctypes.addressof(control), 24, 0)
    with socket.socket(RXRPC, socket.SOCK_DGRAM, family) as sock:
        sent = ctypes.CDLL(None, use_errno=True).sendmsg(sock.fileno(), ctypes.byref(message), 0)
        result = "sent" if sent >= 0 else errno.errorcode[ctypes.get_errno()]
        time.sleep(0.5)  # a thread of the kernel's own sends
    return result


def send_by(address, kind, protocol):
    """Sends a datagram, or begins a connection, by a socket of this kind. Returns 'sent' or an errno."""
    family = INET6 if ":" in address else INET
    with socket.socket(family, kind, protocol) as sock:
        sock.settimeout(0.5)
        try:
            if kind == socket.SOCK_DGRAM:
                sock.sendto(b"hello", (address, 0 if protocol == 115 else PORT))
            else:
                sock.connect((address, PORT))
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return errno.errorcode[error.errno]
    return "sent"


class Sockets(TwoNodes):
    def test_all_that_a_user_can_open_are_of_a_kind_that_somebody_has_looked_at(self):
        for node in (self.one, self.two):
            node.set_sysctl("net.ipv4.ping_group_range", "0 2147483647")
        bob = self.person("bob", self.one)
        release = os.uname().release
        bob.do(all_that_open, autoloaded(release))  # any user's attempt loads these modules
        # The other kinds have no module. 80,000 runs of modprobe, only to learn that, would take an hour.
        modprobe = pathlib.Path("/proc/sys/kernel/modprobe")
        before = modprobe.read_text()
        modprobe.write_text("\n")
        try:
            opened = bob.do(all_that_open, [(family, kind, protocol) for family in FAMILIES for kind in TYPES
                                            for protocol in PROTOCOLS])
        finally:
            modprobe.write_text(before)
        families = sorted({family for family, _, _ in opened})
        print(f"Linux {release}: sockets of families {families}; of IP",
              sorted({(kind, protocol) for family, kind, protocol in opened if family in (INET, INET6)}))
        self.assertEqual([which for which in opened if why(*which) is None], [])
        self.assertIn((INET, 1, 262), opened)  # MPTCP was there

        for family, kind, protocol in opened:
            if family in (INET, INET6) and why(family, kind, protocol) is REFUSED:
                address = V6 if family == INET6 else V4
                with self.subTest(f"{TYPES[kind]} {protocol} to {address}"), Counted(self.ubfd1) as counted, \
                        Counted(self.ubfd2) as there:
                    seen = bob.do(send_by, address, kind, protocol)
                # A socket of SCTP that has many associations can be written to before the first one has its answer.
                self.assertTrue(seen != "sent" or TYPES[kind] == "seqpacket", seen)
                self.assertGreaterEqual(counted["kernel.protocols_out.packets"], 1)
                self.assertEqual(there["kernel.other_protocols.packets"], 0)

    def test_nobody_sends_by_a_socket_that_the_kernel_shares_among_them(self):
        carol, bob = self.person("carol", self.one), self.person("bob", self.one)
        target, next_door = self.person("carol", self.two), self.person("carol", self.one)
        traps = [(target, address, target.do(person.bound, "udp", address, THERE)) for address in (V4, V6)]
        traps += [(next_door, address, next_door.do(person.bound, "udp", address, THERE))
                  for address in ("127.0.0.1", "::1")]
        for owner, address, trap in traps:
            with self.subTest(address):
                first = carol.begin(call_by_rxrpc, address, PORT)  # makes the shared socket, which counts as hers
                with Counted(self.ubfd1) as counted:
                    # The refusal may be reported to bob or not.
                    self.assertIn(bob.do(call_by_rxrpc, address, THERE), ("sent", "EHOSTUNREACH", "EACCES"))
                first()
                self.assertFalse(owner.do(person.arrived, trap, timeout=1))
                self.assertGreaterEqual(counted["kernel.kernel_socket.packets"], 1)
