#!/usr/bin/python3
"""What a node tells ahead of who begins a connection: that it is used, that it only ever allows whom the peer itself
would vouch for, and that without it the peer is asked."""

import contextlib
import pathlib
import secrets
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, ident, person, write_key  # noqa: E402
from lab.case import PROJ, REFUSED, USERS, V4, V6, Counted, TwoNodes, wait_until  # noqa: E402

PORT, MORE = 9001, 9100
HERE, ASKER = "10.77.0.1", (V4, ident.PORT)  # the test's own end of ident, and ubfd's
FAMILIES = {"v4": ("10.77.0.1", V4), "v6": ("fd77::1", V6)}


class Syns:
    """Those to a port that leave a node over IPv4."""

    def __init__(self, node, port):
        everything = 3  # ETH_P_ALL of linux/if_ether.h
        with node.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(everything))
        self._socket.settimeout(3)
        self._port = port

    def next(self):
        """Source port, and sequence number."""
        while True:
            packet = self._socket.recv(2048)
            tcp = packet[(packet[0] & 15) * 4:]
            if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
                continue
            source, destination, sequence = struct.unpack_from(">HHI", tcp)
            if destination == self._port and tcp[13] & 0x12 == 0x02:
                return source, sequence

    def close(self):
        self._socket.close()


def begin_many(address, port, count):
    """Begins so many connections at a time; what became of them."""
    handles = [person.send_to("tcp", address, port) for _ in range(count)]
    return [person.outcome(handle, timeout=10) for handle in handles]


def counted_now(ubfd, name):
    return ubfd.status()["ident"][name]


class Both(TwoNodes):
    """ubfd on both nodes."""

    def setUp(self):
        super().setUp()
        self.server = self.person("alice", self.two)
        self.listener = self.server.listen("tcp", "::", PORT)
        self.client = self.person("alice", self.one)

    def warm_up(self, address=V4):
        """Until node1 tells node2 of what it sends to this address."""
        before = counted_now(self.ubfd2, "pushes_received")

        def told():
            self.assertEqual(self.client.connect("tcp", address, PORT), "connected")
            return counted_now(self.ubfd2, "pushes_received") > before

        wait_until(told)

    def block(self, *nodes):
        for node in nodes:
            node.run("nft", "add table inet block; add chain inet block c { type filter hook prerouting priority -400; "
                            f"}}; add rule inet block c tcp dport {PORT}-{MORE + 99} drop")

    def unblock(self, *nodes):
        for node in nodes:
            node.run("nft", "delete table inet block")


class Told(Both):
    def test_one_users_connections_need_few_questions(self):
        for _, address in FAMILIES.values():
            self.warm_up(address)
            with Counted(self.ubfd1) as counted1, Counted(self.ubfd2) as counted2:
                self.assertEqual(self.client.do(person.ask_each, "tcp", address, PORT, 20), {"connected": 20})
            self.assertEqual(counted2.reasons(), {"same-user": 20})
            self.assertEqual(counted1["ident.pushes_sent"], 20)
            self.assertGreaterEqual(counted2["ident.pushes_received"], 19)
            self.assertLess(counted2["ident.questions"], 10)  # a busy machine is late now and then

    def test_another_user_is_refused_and_both_are_named(self):
        for family, (_, address) in FAMILIES.items():
            self.warm_up(address)
            bob = self.person("bob", self.one)
            with Counted(self.ubfd2) as counted:
                for _ in range(3):
                    self.assertEqual(bob.connect("tcp", address, PORT), REFUSED[family])
            self.assertEqual((counted.reasons(), counted["ident.questions"]), ({"different-user": 3}, 3))
            self.assert_denied(self.ubfd2, "reason=different-user", f"{address}", "connector=bob(", "listener=alice(")

    def test_a_group_in_common_is_asked_about(self):
        self.warm_up()
        self.person("alice", self.two, group=PROJ).listen("tcp", "::", MORE)
        with Counted(self.ubfd2) as counted:
            self.assertEqual(self.person("bob", self.one).connect("tcp", V4, MORE), "connected")
        self.assertEqual((counted.reasons(), counted["ident.questions"]), ({"same-group": 1}, 1))

    def test_root_is_asked_about(self):
        """It can make a socket somebody else's."""
        self.warm_up()
        self.person("root", self.two).listen("tcp", "::", MORE)
        with Counted(self.ubfd1) as counted1, Counted(self.ubfd2) as counted2:
            self.assertEqual(self.person("root", self.one).connect("tcp", V4, MORE), "connected")
        self.assertEqual((counted1["ident.pushes_sent"], counted2["ident.questions"]), (0, 1))
        self.assertEqual(counted2.reasons(), {"same-user": 1})

    def test_nothing_is_told_of_what_stays_on_a_node(self):
        self.person("alice", self.one).listen("tcp", "::", PORT)
        self.person("alice", self.two).connect("tcp", HERE, PORT)  # so that node2 is told by node1, and the other way
        self.warm_up()
        with Counted(self.ubfd1) as counted:
            for address in ("127.0.0.1", "::1", *FAMILIES["v4"][:1], *FAMILIES["v6"][:1]):
                self.assertEqual(self.client.connect("tcp", address, PORT), "connected")
        self.assertEqual((counted["ident.pushes_sent"], counted.reasons()), (0, {"same-user": 4}))

    def test_datagrams_in_between_change_nothing(self):
        """Of them nobody is told: their question is without a wish."""
        self.server.listen("udp", "0.0.0.0", PORT)
        self.warm_up()
        with Counted(self.ubfd1) as counted1, Counted(self.ubfd2) as counted2:
            for _ in range(10):
                for protocol in ("udp", "tcp"):
                    self.assertEqual(self.client.connect(protocol, V4, PORT), "connected")
        self.assertEqual(counted1["ident.pushes_sent"], 10)
        self.assertLess(counted2["ident.questions"], 15)

    def test_it_begins_with_the_first_question(self):
        with Counted(self.ubfd2) as counted:
            for _ in range(50):
                self.assertEqual(self.client.connect("tcp", V4, PORT), "connected")
                time.sleep(0.02)
        self.assertGreater(counted["ident.pushes_received"], 40)
        self.assertLess(counted["ident.questions"], 10)

    def test_a_chain_that_is_flushed_costs_milliseconds(self):
        self.warm_up()
        with Counted(self.ubfd2) as counted:
            self.one.run("nft", "flush", "chain", "inet", "ubf", "output")
            begin = time.monotonic()
            self.assertEqual(self.client.connect("tcp", V4, PORT), "connected")
            self.assertLess(time.monotonic() - begin, 0.5)
        # Or none, where ubfd has put the chain back by then.
        self.assertIn((counted["ident.pushes_missed"], counted["ident.questions"]), ((1, 1), (0, 0)))
        self.warm_up()  # it is put back, as all of the table is

    def test_who_takes_the_port_next_is_somebody_else(self):
        """What was told is of one packet, also while nothing came of it."""
        self.warm_up()
        self.block(self.two)
        before = counted_now(self.ubfd2, "pushes_received")
        handle = self.client.do(person.send_to, "tcp", V4, PORT, bind=(HERE, MORE))
        wait_until(lambda: counted_now(self.ubfd2, "pushes_received") > before)
        self.client.close(handle)
        self.unblock(self.two)
        with Counted(self.ubfd2) as counted:
            self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT, bind=(HERE, MORE)), REFUSED["v4"])
        self.assertEqual(counted.reasons(), {"different-user": 1})

    def test_two_syns_of_two_users_that_cross_are_refused(self):
        self.person("alice", self.one).listen("tcp", HERE, PORT)
        self.warm_up()
        wait_until(lambda: self.server.connect("tcp", HERE, PORT) == "connected"
                   and counted_now(self.ubfd1, "pushes_received") > 0)
        for first, user, seen in ((MORE, "bob", REFUSED["v4"]), (MORE + 2, "alice", "connected")):
            second = first + 1
            one, other = self.person("alice", self.one), self.person(user, self.two)
            self.block(self.one, self.two)
            ends = ((one, one.do(person.send_to, "tcp", V4, second, bind=(HERE, first))),
                    (other, other.do(person.send_to, "tcp", HERE, first, bind=(V4, second))))
            self.unblock(self.one, self.two)
            outcomes = {who.do(person.outcome, handle, timeout=5) for who, handle in ends}
            self.assertIn(seen, outcomes)
            if user == "bob":
                self.assertNotIn("connected", outcomes)

    def test_a_busy_node_asks(self):
        self.warm_up()
        self.ubfd1.process.send_signal(signal.SIGSTOP)  # nothing is told or answered, and so all wait at once
        before = counted_now(self.ubfd2, "questions")
        with Counted(self.ubfd2) as counted:
            crowd = self.person("alice", self.one)
            result = crowd.begin(begin_many, V4, PORT, 64)
            wait_until(lambda: counted_now(self.ubfd2, "questions") >= before + 64)
            self.ubfd1.process.send_signal(signal.SIGCONT)
            self.assertEqual(result(), ["connected"] * 64)
        self.assertEqual(counted.reasons(), {"same-user": 64})
        self.assertLess(counted["ident.pushes_missed"], 16)
        time.sleep(1.1)
        self.warm_up()  # once it is quiet, it is told again

    def test_a_reload_cannot_change_it(self):
        for setting in ({"push": False}, {"push_group": 7}):
            self.ubfd2.configure({"peers": {"ranges": case.PEERS}, "ident": setting})
            self.ubfd2.process.send_signal(signal.SIGHUP)
            self.assertIn("ident.push, ident.push_group", self.ubfd2.wait_for_log("not reloaded"))
            self.assertEqual(self.client.connect("tcp", V4, PORT), "connected")


class Unwilling(Both):
    """One of the nodes neither tells nor wants to be told."""

    pushing = None

    def start_daemons(self):
        ubfds = [self.start_ubfd(node, {"ident": {"push": push}})
                 for node, push in zip((self.one, self.two), self.pushing)]
        self.ubfd1, self.ubfd2 = ubfds

    def assert_asked(self):
        bob = self.person("bob", self.one)
        with Counted(self.ubfd1) as counted1, Counted(self.ubfd2) as counted2:
            for family, (_, address) in FAMILIES.items():
                self.assertEqual(self.client.do(person.ask_each, "tcp", address, PORT, 5), {"connected": 5})
                self.assertEqual(bob.connect("tcp", address, PORT), REFUSED[family])
        self.assertEqual((counted1["ident.pushes_sent"], counted2["ident.pushes_missed"]), (0, 0))
        self.assertEqual(counted2["ident.questions"], 12)


class Listener(Unwilling):
    pushing = (True, False)

    def test_that_does_not_want_to_be_told_asks(self):
        self.assert_asked()


class Connector(Unwilling):
    pushing = (False, True)

    def test_that_does_not_tell_is_asked(self):
        self.assert_asked()


class Occupied(Both):
    """Another program has the log group of node1."""

    def start_daemons(self):
        with self.one.inside():
            self.other = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)  # NETLINK_NETFILTER
        self.addCleanup(self.other.close)
        bind = struct.pack("=BBH", 0, 0, socket.htons(1017)) + struct.pack("=HHB3x", 5, 1, 1)  # NFULNL_CFG_CMD_BIND
        self.other.send(struct.pack("=IHHII", 16 + len(bind), 4 << 8 | 1, 5, 1, 0) + bind)
        self.assertEqual(struct.unpack_from("=i", self.other.recv(100), 16)[0], 0)
        super().start_daemons()

    def test_group_is_named_and_the_node_asked(self):
        self.assertIn("ident.push_group", self.ubfd1.wait_for_log("log group 1017"))
        with Counted(self.ubfd2) as counted:
            self.assertEqual(self.client.do(person.ask_each, "tcp", V4, PORT, 5), {"connected": 5})
        self.assertEqual(counted["ident.questions"], 5)
        self.ubfd1.reload()
        self.assertNotIn("log group", self.one.run("nft", "list", "table", "inet", "ubf"))


class OneSided(TwoNodes):
    """The test itself speaks ident for node1, where no ubfd runs."""

    settings = {"scope": {"exempt_ports": ["tcp/9999"]}}

    def start_daemons(self):
        self.secret = secrets.token_hex(32)
        write_key(self.key, self.secret)
        self.ubfd2 = self.start_ubfd(self.two)
        self.peer = ident.Peer(self.one, self.secret)
        self.addCleanup(self.peer.close)

    def watch(self, node, port=PORT):
        syns = Syns(node, port)
        self.addCleanup(syns.close)
        return syns


class Forged(OneSided):
    """Whatever is told of bob's SYN says 'alice', whose listener it is for."""

    def setUp(self):
        super().setUp()
        self.bob = self.person("bob", self.one)
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.one.run("ip", "addr", "add", "10.77.0.3/24", "dev", "eth0")
        self.syns = self.watch(self.one)
        handle = self.bob.do(person.send_to, "tcp", V4, PORT)
        question = self.peer.question()
        self.assertEqual(question.flags, 1 | ident.TELL_ME)
        self.peer.tell(question, USERS["bob"], HERE)
        self.assertEqual(self.bob.do(person.outcome, handle), REFUSED["v4"])
        self.syns.next()
        self.tell_of_anything()
        wait_until(lambda: counted_now(self.ubfd2, "pushes_received") == 1)

    def tell_of_anything(self):
        self.push([ident.pushed(ident.flow((HERE, 1), (V4, 1)), 0, USERS["alice"])])

    def push(self, entries, here=(HERE, ident.PORT), peer=None, **options):
        options = {"key": self.peer.key, "kind": ident.PUSHED, "channel": ident.PUSHES} | options
        data = ident.datagram(entries, here, ASKER, **options)
        (peer or self.peer).send(data, ASKER, here[0])
        return data

    @contextlib.contextmanager
    def bobs_syn_waits(self, here=HERE):
        """For ubfd, which stands still meanwhile. Gives its flow and sequence number; self.handle is its socket."""
        self.ubfd2.process.send_signal(signal.SIGSTOP)
        try:
            self.handle = self.bob.do(person.send_to, "tcp", V4, PORT, bind=(here, 0))
            source, sequence = self.syns.next()
            yield ident.flow((here, source), (V4, PORT)), sequence
        finally:
            self.ubfd2.process.send_signal(signal.SIGCONT)

    def outcome(self):
        return self.bob.do(person.outcome, self.handle)

    def rejected(self, name):
        return self.ubfd2.status()["ident"]["rejected"].get(name, 0)

    def assert_asked(self, lie, rejection=None, here=HERE):
        """lie(flow, sequence) tells something; bob is asked about all the same, and refused."""
        before = self.rejected(rejection)
        with Counted(self.ubfd2) as counted:
            with self.bobs_syn_waits(here) as (flow, sequence):
                lie(flow, sequence)
                self.one.run("busybox", "ping", "-c", "1", V4)  # nothing overtakes it, so that both are there
            while (question := self.peer.question()).flow != flow:
                pass
            self.peer.tell(question, USERS["bob"], here)
            self.assertEqual(self.outcome(), REFUSED["v4"])
            if rejection:
                wait_until(lambda: self.rejected(rejection) > before)
        self.assertEqual(counted.reasons(), {"different-user": 1})

    def tell_alice(self, **options):
        return lambda flow, sequence: self.push([ident.pushed(flow, sequence, USERS["alice"])], **options)

    def test_what_is_true_allows_without_a_question(self):
        with Counted(self.ubfd2) as counted:
            with self.bobs_syn_waits() as (flow, sequence):
                self.push([ident.pushed(flow, sequence, USERS["alice"])])  # that this test would say so is trusted
            self.assertEqual(self.outcome(), "connected")
        self.assertEqual((counted["ident.questions"], counted["ident.pushes_received"]), (0, 1))

    def test_with_another_key(self):
        self.assert_asked(self.tell_alice(key=bytes.fromhex(secrets.token_hex(32))), "wrong-key")

    def test_from_another_address_than_the_flows(self):
        self.assert_asked(self.tell_alice(here=("10.77.0.3", ident.PORT)), "not-theirs")

    def test_from_another_port(self):
        other = ident.Peer(self.one, self.secret, port=1016)
        self.addCleanup(other.close)
        self.assert_asked(self.tell_alice(here=(HERE, 1016), peer=other), "foreign")

    def test_from_a_peer_that_was_never_asked(self):
        self.assert_asked(self.tell_alice(here=("10.77.0.3", ident.PORT)), "unasked", here="10.77.0.3")

    def test_of_an_hour_ago_or_ahead(self):
        for skew in (-3600, 3600):
            self.assert_asked(self.tell_alice(skew=skew), "late")

    def test_of_another_packet(self):
        """Of the same flow, or of one that resembles it."""
        for change in (-1, 1, 1 << 31):
            self.assert_asked(lambda flow, sequence, change=change: self.push(
                [ident.pushed(flow, (sequence + change) % 2**32, USERS["alice"])]))
        for place in (2, 4, 21, 37):  # in the ports and addresses
            def lie(flow, sequence, place=place):
                other = bytearray(flow)
                other[place] ^= 1
                self.push([ident.pushed(bytes(other), sequence, USERS["alice"])])
            self.assert_asked(lie)

    def test_to_another_channel(self):
        for channel in (0, 2, 3, 200):
            self.assert_asked(self.tell_alice(channel=channel), "unasked")

    def test_of_what_is_no_tcp(self):
        for protocol in (17, 254, 132, 0):
            def lie(flow, sequence, protocol=protocol):
                self.push([ident.pushed(bytes([protocol]) + flow[1:], sequence, USERS["alice"])])
            self.assert_asked(lie, "malformed")

    def test_that_does_not_fit_the_format(self):
        good = ident.pushed
        for spoil in (lambda entry: [entry[:-1]], lambda entry: [entry + b"\0"], lambda entry: [entry, b""],
                      lambda _: [], lambda entry: [entry[:9] + b"\1" + entry[10:]]):
            self.assert_asked(lambda flow, sequence, spoil=spoil: self.push(
                spoil(good(flow, sequence, USERS["alice"]))), "malformed")

    def test_that_came_before(self):
        with self.bobs_syn_waits() as (flow, sequence):
            data = self.push([ident.pushed(flow, sequence, USERS["alice"])])
        self.assertEqual(self.outcome(), "connected")
        self.assert_asked(lambda *_: self.peer.send(data, ASKER, HERE), "repeated")

    def test_another_kind_in_the_same_place(self):
        for kind, entry in ((ident.QUESTION, ident.question(ident.flow((V4, 1), (HERE, 1)))),
                            (ident.ANSWER, ident.answer(bytes(8), USERS["alice"])),
                            (ident.GONE, bytes(8) + ident.flow((HERE, 1), (V4, 1))), (ident.GONE_SEEN, bytes(8))):
            self.assert_asked(lambda *_, k=kind, e=entry: self.push([e], kind=k), "unasked")

    def test_a_peer_that_stops_to_tell_is_waited_for_once(self):
        with Counted(self.ubfd2) as counted:
            for _ in range(3):
                handle = self.bob.do(person.send_to, "tcp", V4, PORT)
                begin = time.monotonic()
                question = self.peer.question()
                self.assertLess(time.monotonic() - begin, 0.5)
                self.assertEqual(question.flags, 1 | ident.TELL_ME)
                self.peer.tell(question, USERS["bob"], HERE)
                self.assertEqual(self.bob.do(person.outcome, handle), REFUSED["v4"])
        self.assertEqual((counted["ident.pushes_missed"], counted["ident.questions"]), (1, 3))


class Telling(OneSided):
    """What node2 tells the test, of what its people begin."""

    def setUp(self):
        super().setUp()
        self.person("alice", self.one).listen("tcp", "::", PORT)
        self.alice = self.person("alice", self.two)

    def wish(self, flags, family="v4"):
        here, there = FAMILIES[family]
        entry = ident.question(ident.flow((there, 1), (here, 1)), flags)
        to = (there, ident.PORT)
        before = counted_now(self.ubfd2, "answered")
        self.peer.send(ident.datagram([entry], (here, ident.PORT), to, self.peer.key, kind=ident.QUESTION,
                                      channel=ident.SERVICE, own_channel=2), to, here)
        wait_until(lambda: counted_now(self.ubfd2, "answered") > before)

    def told_of(self, who, address=HERE, **options):
        self.assertEqual(who.connect("tcp", address, PORT, **options), "connected")
        return self.peer.pushed(timeout=0.3)

    def test_is_done_of_the_very_packet_to_who_wishes_it(self):
        syns = self.watch(self.two)
        self.assertEqual(self.told_of(self.alice), [])
        syns.next()
        self.wish(ident.TELL_ME)
        told = self.told_of(self.alice)
        source, sequence = syns.next()
        self.assertEqual(told, [(sequence, USERS["alice"], ident.flow((V4, source), (HERE, PORT)))])
        self.assertEqual([uid for _, uid, _ in self.told_of(self.person("bob", self.two))], [USERS["bob"]])
        self.wish(0)  # which leaves it as it is
        self.assertEqual(len(self.told_of(self.alice)), 1)
        self.wish(ident.TELL_ME_NO_MORE)
        self.assertEqual(self.told_of(self.alice), [])

    def test_is_done_of_the_two_addresses_that_the_wish_went_between(self):
        self.one.run("ip", "addr", "add", "10.77.0.3/24", "dev", "eth0")
        self.two.run("ip", "addr", "add", "10.77.0.4/24", "dev", "eth0")
        self.wish(ident.TELL_ME)
        self.assertEqual(self.told_of(self.alice, "10.77.0.3"), [])
        self.assertEqual(self.told_of(self.alice, bind=("10.77.0.4", 0)), [])
        self.assertEqual(self.told_of(self.alice, FAMILIES["v6"][0]), [])
        self.wish(ident.TELL_ME, "v6")
        self.assertEqual(len(self.told_of(self.alice, FAMILIES["v6"][0])), 1)
        self.assertEqual(len(self.told_of(self.alice)), 1)

    def test_is_not_done_of_root_or_of_ports_that_are_not_watched(self):
        self.wish(ident.TELL_ME)
        self.assertEqual(self.told_of(self.person("root", self.two)), [])
        for port in (900, 9999):
            self.person("root", self.one).listen("tcp", HERE, port)
            self.assertEqual(self.alice.connect("tcp", HERE, port), "connected")
        self.assertEqual(self.peer.pushed(timeout=0.3), [])
        self.assertEqual(len(self.told_of(self.alice)), 1)

    def test_a_question_with_both_wishes_is_malformed(self):
        with Counted(self.ubfd2) as counted:
            entry = ident.question(ident.flow((V4, 1), (HERE, 1)), ident.TELL_ME | ident.TELL_ME_NO_MORE)
            self.peer.send(ident.datagram([entry], (HERE, ident.PORT), ASKER, self.peer.key, kind=ident.QUESTION,
                                          channel=ident.SERVICE, own_channel=2), ASKER)
            time.sleep(0.1)
        self.assertEqual(counted["ident.rejected.malformed"], 1)


if __name__ == "__main__":
    case.main()
