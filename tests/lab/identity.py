"""Certificates, rosters and sealed datagrams, written from their description (docs/identity.md, docs/ident.md): for nodes
with a key of their own, and for a root who misuses one."""

import ctypes
import dataclasses
import importlib.machinery
import importlib.util
import pathlib
import secrets
import select
import struct
import time

from . import ident
from .tree import FOLDER

_MAKE = pathlib.Path(__file__).resolve().parents[1] / "unit" / "identity" / "make"
_LOADER = importlib.machinery.SourceFileLoader("identity_make", str(_MAKE))
make = importlib.util.module_from_spec(importlib.util.spec_from_loader("identity_make", _LOADER))
_LOADER.exec_module(make)

INTRODUCTION = 9
_STATED = struct.Struct(">2sBBBBHIIQ")
HOUR, DAY = 3600, 86400


def key_id(public):
    return struct.unpack(">I", make.blake2b(16, None, b"ubf node key id", public)[:4])[0]


@dataclasses.dataclass
class Member:
    """A node's key and its certificate."""

    keys: make.Node
    certificate: bytes
    serial: int
    name: str
    previous: make.Node = None  # the key before

    def files(self):
        """Writes both, and returns the settings that name them."""
        key, certificate = FOLDER / f"{self.name}.node.key", FOLDER / f"{self.name}.crt"
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_text("".join(f"ubf-node-1 {keys.seed.hex()}\n" for keys in (self.keys, self.previous) if keys))
        certificate.write_text(make.armour("CERTIFICATE", self.certificate))
        return {"key": str(key), "certificate": str(certificate)}


class Authority:
    def __init__(self):
        self.signer = make.Signer(secrets.token_bytes(32))
        self.stamping = set()  # the last bytes of the keys' ids
        self._serial = 0
        self._number = 0

    @property
    def line(self):
        return f"ubf-authority-1 {self.signer.public.hex()}"

    def member(self, name, addresses, kind="compute", keys=None, valid=(-HOUR, DAY), **options):
        """valid: from and until, from now on."""
        self._serial += 1
        now = int(time.time())
        keys = keys or self._new_keys()
        prefixes = sorted(((a.split("/")[0], int(a.split("/")[1])) for a in addresses),
                          key=lambda prefix: ident._bytes(prefix[0]))
        signed = make.certificate(self.signer, keys, name, kind, self._serial, prefixes,
                                  valid=(now + valid[0], now + valid[1]), **options)
        return Member(keys, signed, self._serial, name)

    def _new_keys(self):
        """A stamp has one byte of its key's id: this key has another one there than all others."""
        while True:
            keys = make.Node(secrets.token_bytes(32))
            if key_id(keys.public) & 0xff not in self.stamping:
                self.stamping.add(key_id(keys.public) & 0xff)
                return keys

    def roster(self, members, revoked=(), number=None, signer=None):
        """The text of the next roster."""
        self._number = number or self._number + 1
        listed = [member.certificate for member in sorted(members, key=lambda member: member.serial)]
        return make.armour("ROSTER", make.roster(signer or self.signer, self._number, sorted(revoked), listed))


def put_roster(text, file=None):
    """Replaces the file as a whole, as rsync does."""
    file = file or FOLDER / "roster"
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.rename(file)
    return file


def pair_key(shared, sender, receiver, milliseconds, purpose=b"ident   "):
    return make.blake2b(32, shared, b"ubf pair 1" + bytes(6), purpose, sender, receiver,
                        struct.pack(">Q", milliseconds >> 22))


def _ends(source, destination):
    return ident._bytes(source[0]) + ident._bytes(destination[0]) + struct.pack(">HH", source[1], destination[1])


def sealed(entries, source, destination, mine, theirs, kind=ident.ANSWER, channel=1, own_channel=0, skew=0,
           grants=()):
    """mine: a make.Node; theirs: a public key."""
    now = int((time.time() + skew) * 1000)
    body = bytes([own_channel | (0x80 if grants else 0)]) + b"".join(entries)
    body += b"".join(bytes([len(grant)]) + grant for grant in grants)
    stated = _STATED.pack(b"US", ident.VERSION, channel, kind, len(entries), 48 + len(body) + 16, key_id(mine.public),
                          key_id(theirs), now)
    nonce, beside = secrets.token_bytes(24), _ends(source, destination) + stated
    key = pair_key(mine.shared_key(theirs), mine.public, theirs, now)
    return stated + nonce + make.call("crypto_aead_xchacha20poly1305_ietf_encrypt", len(body) + 16, None, body,
                                      ctypes.c_ulonglong(len(body)), beside, ctypes.c_ulonglong(len(beside)), None, nonce,
                                      key)


def opened(data, source, destination, mine, theirs):
    """The datagram as one under the cluster key would be, or None if it does not open."""
    magic, version, channel, kind, count, length, sender, _, clock = _STATED.unpack_from(data)
    if magic != b"US" or kind == INTRODUCTION or length != len(data) or sender != key_id(theirs):
        return None
    stated, nonce, box = data[:24], data[24:48], data[48:]
    beside, key = _ends(source, destination) + stated, pair_key(mine.shared_key(theirs), theirs, mine.public, clock)
    try:
        body = make.call("crypto_aead_xchacha20poly1305_ietf_decrypt", len(box) - 16, None, None, box,
                         ctypes.c_ulonglong(len(box)), beside, ctypes.c_ulonglong(len(beside)), nonce, key)
    except RuntimeError:
        return None
    header = ident._HEADER.pack(b"UB", version, channel, kind, count, 24 + len(body) - 1 + 16, 0, body[0] & 0x7F, clock)
    return header + body[1:] + bytes(16)


def introduction(certificate, asks=False):
    return _STATED.pack(b"US", ident.VERSION, 0, INTRODUCTION, int(asks), 24 + len(certificate), 0, 0,
                        int(time.time() * 1000)) + certificate


class Rooted(ident.Peer):
    """A node's ident port in the hands of its root, who has the node's key, and may have the cluster's."""

    def __init__(self, node, address, member, other, cluster_key="00" * 32):
        """other: the public key of the node to which it speaks."""
        super().__init__(node, cluster_key)
        self.address, self.member, self.other = address, member, other
        self.about = None  # the port of a connection: other questions, such as those after a change, are passed over

    def receive(self, timeout=3):
        """The next datagram: (bytes, sender)."""
        self.socket.settimeout(timeout)
        data, _, _, sender = self.socket.recvmsg(2048, 256)
        return data, (sender[0].removeprefix("::ffff:"), sender[1])

    def question(self):
        end = time.monotonic() + 3
        while time.monotonic() < end:
            data, sender = self.receive()
            plain = opened(data, sender, (self.address, self.port), self.member.keys, self.other)
            if plain is None:
                continue
            for question in ident.Question.all_in(plain, sender):
                if question.nonce != self._last and self.about in (None, question.ports[0]):
                    self._last = question.nonce
                    return question
        raise TimeoutError("no question came")

    def seal(self, entry, to, here=None, keys=None, **options):
        return sealed([entry], (here or self.address, self.port), to, keys or self.member.keys, self.other, **options)

    def tell_sealed(self, question, uid, kind=ident.USER, here=None, **options):
        data = self.seal(ident.answer(question.nonce, uid, kind), question.asker, here, channel=question.channel, **options)
        self.send(data, question.asker, here)
        return data

    def drain(self):
        while select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(2048)
