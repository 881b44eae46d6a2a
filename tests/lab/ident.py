"""The ident protocol, written from its description (docs/ident.md), for peers that err or lie."""

import ctypes
import dataclasses
import hashlib
import ipaddress
import secrets
import select
import socket
import struct
import time

PORT = 1017
VERSION = 3
QUESTION, ANSWER, GONE, GONE_SEEN, INQUIRY, DECISION = 1, 2, 3, 4, 7, 8
TOLD_AHEAD = 5  # by an older ubfd
TELL_ME, TELL_ME_NO_MORE = 2, 4  # flags of an older ubfd's questions
SERVICE = 0  # channel
UNKNOWN, USER, KERNEL = 0, 1, 2
CREDENTIALS, GID, ALL_LABELS, FOLLOWS, BUSY = 1, 2, 4, 8, 16  # flags of an answer
_HEADER = struct.Struct(">2sBBBBHIB3xQ")
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50  # linux/in6.h


def _bytes(address):
    """The address in 16 bytes; IPv4 in its v4-mapped form."""
    ip = ipaddress.ip_address(address)
    return ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed


def key_id(key):
    return struct.unpack(">I", hashlib.blake2b(b"ubf key id", key=key, digest_size=16).digest()[:4])[0]


def mac(message, source, destination, key):
    """The MAC also covers both ends, each an (address, port)."""
    ends = _bytes(source[0]) + _bytes(destination[0]) + struct.pack(">HH", source[1], destination[1])
    return hashlib.blake2b(ends + message, key=key, digest_size=16).digest()


@dataclasses.dataclass
class Question:
    nonce: bytes
    role: int
    flags: int
    flow: bytes  # in the form of a datagram
    channel: int  # of the asker
    asker: tuple  # (address, port)
    raw: bytes

    @property
    def ports(self):
        """The flow's source and destination."""
        return struct.unpack_from(">HH", self.flow, 2)

    @classmethod
    def all_in(cls, datagram, asker):
        _, _, _, kind, count, _, _, channel, _ = _HEADER.unpack_from(datagram)
        if kind != QUESTION:
            return []
        size = 52
        entries = [datagram[_HEADER.size + i * size:][:size] for i in range(count)]
        return [cls(entry[:8], entry[8], entry[9], entry[14:52], channel, asker, datagram) for entry in entries]


def flow(source, destination, protocol=6):
    """A flow in the form of an entry; the ends are (address, port)."""
    return struct.pack(">BxHH", protocol, source[1], destination[1]) + _bytes(source[0]) + _bytes(destination[0])


def question(the_flow, flags=0, role=1):
    return secrets.token_bytes(8) + struct.pack(">BBI", role, flags, 0) + the_flow


def inquiry(the_flow, nonce=None):
    return (nonce or secrets.token_bytes(8)) + struct.pack(">BI", 0, 0) + the_flow


def told_ahead(the_flow, sequence, uid):
    return struct.pack(">II", sequence, uid) + the_flow


def answer(nonce, uid, kind=USER, flags=0):
    """An entry without credentials."""
    return nonce + struct.pack(">BBI", kind, flags, uid)


def answer_with_groups(nonce, uid, gids):
    """An entry with credentials: of process 1, named 'peer', without labels."""
    return (nonce + struct.pack(">BBI", USER, CREDENTIALS | GID | ALL_LABELS, uid) +
            struct.pack(">BIIII", 3, gids[0], 1, 0, 0) + b"\4peer" +
            struct.pack(f">H{len(gids)}I", len(gids), *gids) + b"\0")


def answers_in(datagram):
    """The answers in a datagram up to the first with credentials: (nonce, kind, flags, uid)."""
    _, _, _, kind, count, *_ = _HEADER.unpack_from(datagram)
    entries, offset = [], _HEADER.size
    while kind == ANSWER and len(entries) < count:
        nonce, (owner, flags, uid) = datagram[offset:offset + 8], struct.unpack_from(">BBI", datagram, offset + 8)
        entries.append((nonce, owner, flags, uid))
        if flags & CREDENTIALS:
            break
        offset += 14
    return entries


def datagram(entries, source, destination, key, kind=ANSWER, channel=1, skew=0, version=VERSION, own_channel=0):
    """A signed datagram between two ends. skew: of the sender's clock, in seconds."""
    body = b"".join(entries)
    length = _HEADER.size + len(body) + 16
    header = _HEADER.pack(b"UB", version, channel, kind, len(entries), length, key_id(key), own_channel,
                          int((time.time() + skew) * 1000))
    return header + body + mac(header + body, source, destination, key)


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("size", ctypes.c_size_t)]


class _Mmsghdr(ctypes.Structure):  # of sendmmsg(2)
    _fields_ = [("name", ctypes.c_void_p), ("name_size", ctypes.c_uint), ("parts", ctypes.POINTER(_Iovec)),
                ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("padding", ctypes.c_int), ("sent", ctypes.c_uint)]


class Peer:
    """A node's privileged port that speaks ident, truthfully or not."""

    def __init__(self, node, key, port=PORT):
        self.key = bytes.fromhex(key)
        self.port = port
        self._last = None
        with node.inside():
            self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        self.socket.bind(("::", port))
        self.socket.settimeout(3)

    def question(self):
        """The next question that was not returned yet."""
        while True:
            data, control, _, sender = self.socket.recvmsg(2048, 256)
            questions = Question.all_in(data, (sender[0].removeprefix("::ffff:"), sender[1]))
            if questions and questions[0].nonce != self._last:
                self._last = questions[0].nonce
                return questions[0]

    def send(self, data, to, here=None):
        """here: the source address, if the node has several."""
        control = []
        if here:
            control = [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, _bytes(here) + bytes(4))]
        self.socket.sendmsg([data], control, 0, (str(ipaddress.IPv6Address(_bytes(to[0]))), to[1]))

    def flood(self, datagrams, to, seconds):
        """Sends them in turn, as fast as the kernel takes them. Returns how many."""
        address = struct.pack("=HHI16sI", socket.AF_INET6, socket.htons(to[1]), 0, _bytes(to[0]), 0)
        name = ctypes.create_string_buffer(address)
        parts = (_Iovec * len(datagrams))(*((data, len(data)) for data in datagrams))
        headers = (_Mmsghdr * len(datagrams))()
        for header, part in zip(headers, parts):
            header.name, header.name_size, header.parts, header.count = ctypes.addressof(name), 28, ctypes.pointer(part), 1
        libc, sent, end, at, batch = ctypes.CDLL(None), 0, time.monotonic() + seconds, 0, 64
        while time.monotonic() < end:
            sent += max(0, libc.sendmmsg(self.socket.fileno(), ctypes.byref(headers, at * ctypes.sizeof(_Mmsghdr)),
                                         min(batch, len(datagrams) - at), 0))
            at = (at + batch) % (len(datagrams) - len(datagrams) % batch)
        return sent

    def tell(self, question, uid, here, **options):
        """Answers from the address `here`. Returns the datagram."""
        nonce = options.pop("nonce", question.nonce)
        entry = answer(nonce, uid, flags=options.pop("flags", 0))
        return self.tell_entry(question, entry, here, **options)

    def tell_entry(self, question, entry, here, **options):
        """Answers with an entry of the test's own."""
        options.setdefault("key", self.key)
        data = datagram([entry], (here, self.port), question.asker, channel=question.channel, **options)
        self.send(data, question.asker, here)
        return data

    def answers(self, timeout=1):
        """The answers that arrive, until none does for a moment: (nonce, kind, flags, uid)."""
        seen = []
        while select.select([self.socket], [], [], timeout)[0]:
            seen += answers_in(self.socket.recvmsg(2048, 256)[0])
        return seen

    def close(self):
        self.socket.close()
