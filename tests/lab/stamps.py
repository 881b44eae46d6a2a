"""Stamps of SYNs, and packets that carry them, made from docs/recognition.md alone."""

import dataclasses
import hashlib
import socket
import struct
import time

from . import identity

SYN, MASK64 = 0x02, 2**64 - 1


def siphash(key, message):
    """SipHash-2-4, as in the paper."""
    k = struct.unpack("<2Q", key)
    v = [k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d, k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573]

    def rotate(word, bits):
        return (word << bits | word >> (64 - bits)) & MASK64

    def rounds(count):
        for _ in range(count):
            for a, b, c, d, first, second in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
                v[a] = (v[a] + v[b]) & MASK64
                v[b] = rotate(v[b], first) ^ v[a]
                v[a] = rotate(v[a], 32)
                v[c] = (v[c] + v[d]) & MASK64
                v[d] = rotate(v[d], second) ^ v[c]

    for (word,) in struct.iter_unpack("<Q", message):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def key_id_of(master):
    return hashlib.blake2b(b"ubf key id", digest_size=16, key=master).digest()[3]


@dataclasses.dataclass(frozen=True)
class Key:
    derived: bytes
    id: int


def of_cluster(key):
    master = bytes.fromhex(key)
    return Key(hashlib.blake2b(digest_size=16, key=master, salt=struct.pack("<QQ", 1, 0),
                               person=b"ubfstamp".ljust(16, b"\0")).digest(), key_id_of(master))


def of_pair(shared, sender, receiver, when=None):
    """shared: the secret of two nodes; sender, receiver: their public keys."""
    seconds = int(time.time() if when is None else when)
    return Key(identity.pair_key(shared, sender, receiver, seconds * 1000, b"stamp   ")[:16],
               identity.key_id(sender) & 0xff)


def stamp(source, destination, sequence, uid, key, when=None):
    """The TCP option with the stamp for an IPv4 flow; source and destination are (address, port)."""
    when = int(time.time() if when is None else when)
    halves = [half for address, _ in (source, destination)
              for half in (0, 0xffff00000000 | int.from_bytes(socket.inet_aton(address), "big"))]
    words = [*halves, source[1] << 48 | destination[1] << 32 | sequence, when, uid]
    tag = siphash(key.derived, struct.pack("<7Q", *words) + struct.pack("<Q", (len(words) * 8 + 1) << 56 | 1))
    return struct.pack("!BBHBBHQ", 254, 16, 0x5542, 1, key.id, when & 0xffff, tag)


PLAIN = bytes([2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7])


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) & ~1])) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn(source, destination, sequence, options, data=b"", ip_options=b"", fragment=0):
    """A whole IPv4 packet; source and destination are (address, port)."""
    options += b"\1" * (-len(options) % 4)
    header = struct.pack("!HHIIBBHHH", source[1], destination[1], sequence, 0, (20 + len(options)) // 4 << 4, SYN, 65535,
                         0, 0) + options
    ends = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    total = checksum(ends + struct.pack("!HH", 6, len(header) + len(data)) + header + data)
    header = header[:16] + struct.pack("!H", total) + header[18:]
    size = 20 + len(ip_options)
    return struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, size + len(header) + len(data), 7, fragment, 64, 6, 0) + ends + \
        ip_options + header + data
