#!/usr/bin/python3
"""Nodes with keys of their own, and those who would misuse them. One is a machine without a key, which knows what is
public and has recorded datagrams. Another is root of a node with a certificate. Keys are lost and changed, too."""

import pathlib
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, ident, identity, person  # noqa: E402
from lab.case import USERS, wait_until  # noqa: E402
from lab.certified import CLASSES, HONEST, ROOTED, VICTIM, Certified  # noqa: E402
from lab.identity import DAY, HOUR, Authority, Rooted, introduction, put_roster  # noqa: E402

PORT = 9001
DENIED = "EHOSTUNREACH"
STATED = struct.Struct(">2sBBBBHIIQ")


def nothing_sealed(sender, receiver):
    """Looks like a sealed question, from one key to another. No key is needed for it."""
    return STATED.pack(b"US", ident.VERSION, ident.SERVICE, ident.QUESTION, 1, 120, sender, receiver,
                       int(time.time() * 1000)) + bytes(120 - STATED.size)


class Impostor:
    """A machine without a key, which sends from any address."""

    def __init__(self, node):
        with node.inside():
            self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._over = threading.Event()
        self._thread = None

    def send(self, data, source, to=VICTIM):
        header = struct.pack("!BBHHHBBH4s4sHHHH", 0x45, 0, 28 + len(data), 7, 0, 64, 17, 0, socket.inet_aton(source),
                             socket.inet_aton(to), ident.PORT, ident.PORT, 8 + len(data), 0)
        self.raw.sendto(header + data, (to, 0))

    def keep_sending(self, data, source, pause=0.001):
        def run():
            while not self._over.wait(pause):
                self.send(data, source)
        self._thread = threading.Thread(target=run)
        self._thread.start()

    def close(self):
        self._over.set()
        if self._thread:
            self._thread.join()
        self.raw.close()


class Hostile(Certified):
    def impostor(self):
        for scope in ("all", "eth0"):  # whatever source comes in
            self.two.run("sysctl", "-qw", f"net.ipv4.conf.{scope}.rp_filter=0")
        impostor = Impostor(self.one)
        self.addCleanup(impostor.close)
        return impostor

    def test_bytes_that_do_not_open_choose_no_key(self):
        """The victim has changed its key, and keeps the old one in its file. Its old certificate is revoked."""
        old = self.victim
        self.victim = self.authority.member("victim", ["10.77.0.2/32", "fd77::2/128"], "login")
        self.victim.previous = old.keys
        put_roster(self.authority.roster([self.rooted, self.victim, self.honest], [old.serial]))
        ubfd, peer = self.start(self.two, self.victim), self.start(self.three, self.honest)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        alice = self.person("alice", self.three)
        self.assertEqual(alice.connect("tcp", VICTIM, PORT), "connected")
        theirs, mine = (identity.key_id(keys.public) for keys in (self.honest.keys, old.keys))
        self.impostor().keep_sending(nothing_sealed(theirs, mine), HONEST)
        wait_until(lambda: ubfd.status()["ident"]["rejected"]["wrong-key"] > 10, 3, "such bytes")
        for _ in range(5):
            self.assertEqual(alice.connect("tcp", VICTIM, PORT), "connected")
        self.assert_alive(ubfd, peer)

    def test_a_recorded_datagram_brings_back_no_key(self):
        """The same, with a datagram that the honest node sealed for the old key a while ago."""
        old = self.victim
        self.victim = self.authority.member("victim", ["10.77.0.2/32", "fd77::2/128"], "login")
        self.victim.previous = old.keys
        put_roster(self.authority.roster([self.rooted, self.victim, self.honest], [old.serial]))
        ubfd = self.start(self.two, self.victim)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        alice = self.person("alice", self.three)
        honest = Rooted(self.three, HONEST, self.honest, self.victim.keys.public)
        self.addCleanup(honest.close)

        def connects():
            handle = alice.do(person.send_to, "tcp", VICTIM, PORT)
            honest.tell_sealed(honest.question(), USERS["alice"])
            self.assertEqual(alice.do(person.outcome, handle, 3), "connected")
        connects()
        recorded = identity.sealed([ident.question(ident.flow((VICTIM, PORT), (HONEST, 9100)))], (HONEST, ident.PORT),
                                   (VICTIM, ident.PORT), self.honest.keys, old.keys.public, kind=ident.QUESTION, channel=0,
                                   own_channel=1, skew=-60)
        self.impostor().keep_sending(recorded, HONEST)
        wait_until(lambda: ubfd.status()["ident"]["rejected"].get("repeated", 0) > 10, 3, "the recorded datagrams")
        for _ in range(3):
            connects()
        self.assert_alive(ubfd)

    def test_a_recorded_datagram_does_not_say_that_a_node_seals_still(self):
        """The honest node has gone back to the cluster key, and certificates are not required."""
        ubfd = self.start(self.two, self.victim, required=False)
        peer = self.start_ubfd(self.three, {"peers": {"ranges": case.PEERS}})
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        alice = self.person("alice", self.three)
        recorded = identity.sealed([ident.question(ident.flow((VICTIM, PORT), (HONEST, 9100)))], (HONEST, ident.PORT),
                                   (VICTIM, ident.PORT), self.honest.keys, self.victim.keys.public, kind=ident.QUESTION,
                                   channel=0, own_channel=1, skew=-60)
        self.impostor().keep_sending(recorded, HONEST, pause=0.01)
        wait_until(lambda: ubfd.status()["ident"]["rejected"]["repeated"] > 10, 3, "the recorded datagrams")
        for _ in range(3):
            self.assertEqual(alice.connect("tcp", VICTIM, PORT), "connected")
        self.assert_alive(ubfd, peer)

    def test_a_node_whose_clock_jumps_is_spoken_to_sealed(self):
        self.start(self.two, self.victim, required=False)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        alice = self.person("alice", self.three)
        honest = Rooted(self.three, HONEST, self.honest, self.victim.keys.public)
        self.addCleanup(honest.close)
        hello = ident.question(ident.flow((VICTIM, PORT), (HONEST, 9100)))
        honest.send(honest.seal(hello, (VICTIM, ident.PORT), kind=ident.QUESTION, channel=0), (VICTIM, ident.PORT))
        for skew in (0, 3 * HOUR, 0, 0, -3 * HOUR, -3 * HOUR, 0):
            time.sleep(0.2)  # longer than the victim's patience with an answer
            honest.drain()
            handle = alice.do(person.send_to, "tcp", VICTIM, PORT)
            honest.tell_sealed(honest.question(), USERS["alice"], skew=skew)
            self.assertEqual(alice.do(person.outcome, handle, 3), "connected")

    def test_a_node_that_has_lost_its_key_is_known_by_its_new_one(self):
        """The roster of the peer, which asks it, has the old certificate alone."""
        two, three = self.start(self.two, self.victim), self.start(self.three, self.honest)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        alice = self.person("alice", self.three)
        self.assertEqual(alice.connect("tcp", VICTIM, PORT), "connected")
        three.stop()
        fresh = self.authority.member("honest", ["10.77.0.3/32", "fd77::3/128"], "login")
        three.configure(self.settings_of(fresh))
        three.start()
        for _ in range(3):
            self.assertEqual(alice.connect("tcp", VICTIM, PORT), "connected")
        self.assert_alive(two, three)

    def with_two_authorities(self):
        """Nodes accept both. Returns the new one, and the settings of a member for both."""
        new = Authority()

        def settings(member):
            both = self.settings_of(member)
            both["identity"]["authorities"] = [self.authority.line, new.line]
            return both
        return new, settings

    def test_an_authority_takes_anothers_place_while_the_nodes_run(self):
        put_roster(self.authority.roster(self.members, number=7))
        two, three = self.start(self.two, self.victim), self.start(self.three, self.honest)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        alice = self.person("alice", self.three)
        self.assertEqual(alice.connect("tcp", VICTIM, PORT), "connected")
        new, settings = self.with_two_authorities()
        members = [new.member(one.name, [f"{address}/32"], "login", keys=one.keys)
                   for one, address in ((self.victim, VICTIM), (self.honest, HONEST))]
        for daemon, member in ((two, self.victim), (three, self.honest)):
            daemon.configure(settings(member))
            daemon.reload()
        put_roster(new.roster(members))
        for daemon in (two, three):
            daemon.wait_for_log("roster 1: 2 certificates")
        self.assertEqual(alice.connect("tcp", VICTIM, PORT), "connected")
        for daemon, member in ((two, members[0]), (three, members[1])):
            daemon.configure(settings(member))
            daemon.reload()
        self.assertEqual(alice.connect("tcp", VICTIM, PORT), "connected")
        self.assertEqual((two.denials(), three.denials()), ([], []))

    def test_a_node_that_the_old_authority_has_revoked_does_not_come_back_with_the_new(self):
        new, settings = self.with_two_authorities()
        put_roster(new.roster([new.member("victim", [f"{VICTIM}/32"], "login", keys=self.victim.keys)]))
        ubfd = self.start_ubfd(self.two, settings(self.victim))  # the old authority's roster said that it is revoked
        peer = Rooted(self.one, ROOTED, self.rooted, self.victim.keys.public)
        self.addCleanup(peer.close)
        peer.send(introduction(self.rooted.certificate), (VICTIM, ident.PORT))
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        bob = self.person("bob", self.one)
        handle = bob.do(person.send_to, "tcp", VICTIM, PORT)
        try:
            peer.tell_sealed(peer.question(), USERS["alice"])
        except TimeoutError:
            pass
        self.assertNotEqual(bob.do(person.outcome, handle, 1), "connected")
        self.assertGreater(ubfd.status()["ident"]["rejected"]["no-certificate"], 0)

    def test_a_grant_of_a_revoked_granter_keeps_no_other_out(self):
        first, second = (self.authority.member(f"ctl{number}", [f"10.77.0.{number}/32"], "service", grants=True)
                         for number in (8, 9))
        self.members += [first, second]
        put_roster(self.authority.roster(self.members))
        ubfd = self.start(self.two, self.victim, classes=CLASSES | {"compute": CLASSES["compute"] | {"vouch": "jobs"}})
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        bob = self.person("bob", self.one)
        peer = Rooted(self.one, ROOTED, self.rooted, self.victim.keys.public)
        self.addCleanup(peer.close)

        def outcome(granter, until):
            now = int(time.time())
            grant = identity.make.grant(granter.keys.signer, granter.serial, USERS["alice"], 7, "rooted",
                                        valid=(now - HOUR, now + until))
            peer.drain()
            handle = bob.do(person.send_to, "tcp", VICTIM, PORT)
            peer.tell_sealed(peer.question(), USERS["alice"], grants=[grant])
            seen = bob.do(person.outcome, handle, 3)
            bob.do(person.close, handle)
            return seen
        self.assertEqual(outcome(first, 365 * DAY), "connected")
        put_roster(self.authority.roster(self.members, [first.serial]))
        ubfd.wait_for_log("1 revoked")
        self.assertEqual(outcome(second, HOUR), "connected")

    def test_a_node_of_a_range_does_not_speak_for_a_node_that_the_roster_names_there(self):
        ranged = self.authority.member("ranged", ["10.77.0.0/24"], "compute")
        put_roster(self.authority.roster([self.victim, self.honest, ranged]))
        ubfd = self.start(self.two, self.victim)
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT)
        bob = self.person("bob", self.one)
        self.one.run("ip", "address", "add", f"{HONEST}/24", "dev", "eth0")  # the honest node is away
        peer = Rooted(self.one, HONEST, ranged, self.victim.keys.public)
        self.addCleanup(peer.close)
        to = (VICTIM, ident.PORT)
        peer.send(introduction(ranged.certificate), to, HONEST)
        entry = ident.question(ident.flow((VICTIM, PORT), (HONEST, 9100)))
        peer.send(peer.seal(entry, to, kind=ident.QUESTION, channel=0, own_channel=1), to, HONEST)
        handle = bob.do(person.send_to, "tcp", VICTIM, PORT, bind=(HONEST, 0))
        try:
            peer.tell_sealed(peer.question(), USERS["alice"], here=HONEST)
        except TimeoutError:
            pass
        self.assertNotEqual(bob.do(person.outcome, handle, 1), "connected")
        self.assertEqual([entry["proof"] for entry in ubfd.status()["peers"] if "certificate" in entry["proof"]], [])

    def test_a_rooted_node_cannot_say_that_its_user_is_anothers_subordinate(self):
        ubfd = self.start(self.two, self.victim, policy={"subids": True})
        self.person("carol", self.two).listen("tcp", "0.0.0.0", PORT)  # carol is not of the class
        bob = self.person("bob", self.one)
        peer = Rooted(self.one, ROOTED, self.rooted, self.victim.keys.public)
        self.addCleanup(peer.close)
        handle = bob.do(person.send_to, "tcp", VICTIM, PORT)
        question = peer.question()
        entry = (question.nonce + struct.pack(">BBI", ident.USER, 1 | 2 | 4 | 32, USERS["bob"]) +
                 struct.pack(">BIIII", 3, 100, 1, 0, USERS["carol"]) + b"\4peer" + struct.pack(">H", 0) + b"\0")
        peer.send(peer.seal(entry, question.asker, channel=question.channel), question.asker)
        self.assertEqual(bob.do(person.outcome, handle, 3), DENIED)
        self.assert_denied(ubfd, "reason=different-user")


if __name__ == "__main__":
    case.main()
