#!/usr/bin/python3
"""The datagrams of an allowed UDP flow reach only the user for whom it was allowed, even if another user takes the
port. Only the kernel can keep them from that user, since ubfd stands still."""

import contextlib
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load, person  # noqa: E402
from lab.case import WAYS, TwoNodes, wait_until  # noqa: E402
from lab.node import Node  # noqa: E402

PORT, OTHER, MANY = 9001, 9002, 10
UDP = [way for way in WAYS if way.protocol == "udp"]


class Receivers(TwoNodes):
    def setUp(self):
        super().setUp()
        self.assertEqual(self.ubfd2.status()["udp_receivers"], "in use")
        self.alice = {True: self.person("alice", self.one), False: self.person("alice", self.two)}
        self.closed = []
        self.listener = self.person("alice", self.two)

    @contextlib.contextmanager
    def standing_still(self):
        self.ubfd2.process.send_signal(signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.ubfd2.process.pid}/task")
        wait_until(lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
                               for task in tasks.iterdir()))
        try:
            yield
        finally:
            self.ubfd2.process.send_signal(signal.SIGCONT)

    def begin(self, way):
        """Opens an allowed flow of alice's. Returns her listener and the sending socket."""
        listener = self.listener.listen("udp", case.WILDCARD[way.family], PORT)
        seen = self.alice[way.across].connect("udp", way.address, PORT)
        self.assertEqual(seen, "connected")
        return listener, seen.handle

    def send(self, way, handle):
        self.alice[way.across].do(load.send_many, handle, MANY, MANY)
        time.sleep(0.1)

    def taken_by(self, somebody, address):
        """Binds the port for this user too. Returns the handle of a socket that counts what arrives."""
        handle = somebody.do(person.bound, "udp", address, PORT)
        somebody.do(load.count_arrivals, handle)
        return handle

    def check_each_way(self, take):
        for way in UDP:
            with self.subTest(str(way)):
                listener, handle = self.begin(way)
                with self.standing_still():
                    somebody, taken = take(way, listener)
                    self.send(way, handle)
                    self.assertEqual(somebody.do(load.arrivals, taken), self.expected)
                self.alice[way.across].close(handle)
                self.dismiss(somebody)  # a socket that a thread reads from stays open while it does
                if listener not in self.closed:
                    self.listener.close(listener)

    def close(self, listener):
        self.listener.close(listener)
        self.closed.append(listener)

    expected = 0

    def test_a_port_that_another_takes_when_it_is_closed(self):
        def take(way, listener):
            self.close(listener)
            bob = self.person("bob", self.two)
            return bob, self.taken_by(bob, case.WILDCARD[way.family])

        self.check_each_way(take)

    def test_a_port_that_another_shares_by_address(self):
        """His socket is bound to the address, so it ranks before her wildcard."""
        def take(way, _):
            bob = self.person("bob", self.two)
            return bob, self.taken_by(bob, way.address)

        self.check_each_way(take)

    def test_the_same_user_goes_on(self):
        self.expected = MANY

        def take(way, listener):
            self.close(listener)
            again = self.person("alice", self.two)
            return again, self.taken_by(again, case.WILDCARD[way.family])

        self.check_each_way(take)

    def test_a_port_that_another_takes_with_a_socket_from_before(self):
        """bob opened the socket before ubfd started."""
        bobs = {way: self.person("bob", self.two) for way in UDP}
        handles = {way: bobs[way].do(person.keep_open, "udp", case.WILDCARD[way.family]) for way in UDP}
        self.ubfd2.stop()
        self.ubfd2.start()

        def take(way, listener):
            self.close(listener)
            bobs[way].do(person.bind, handles[way], case.WILDCARD[way.family], PORT)
            bobs[way].do(load.count_arrivals, handles[way])
            return bobs[way], handles[way]

        self.check_each_way(take)

    def test_answers_to_a_socket_that_is_gone(self):
        for way in UDP:
            if not way.across:
                continue
            with self.subTest(str(way)):
                source = case.ADDRESSES[way.family == "v6"][0].split("/")[0]
                server = self.person("alice", self.one)
                handle = server.do(person.bound, "udp", case.WILDCARD[way.family], OTHER)
                client = self.listener.do(person.bound, "udp", case.WILDCARD[way.family], PORT)
                self.listener.do(person.connect_bound, client, source, OTHER)
                server.do(person.serve, handle)
                self.assertEqual(self.listener.do(person.say, client), "hello")
                with self.standing_still():
                    self.listener.close(client)
                    bob = self.person("bob", self.two)
                    taken = self.taken_by(bob, case.WILDCARD[way.family])
                    for _ in range(MANY):
                        server.do(person.send_from, handle, way.address, PORT)
                    time.sleep(0.1)
                    self.assertEqual(bob.do(load.arrivals, taken), 0)
                self.dismiss(server)
                self.dismiss(bob)

    def test_when_ubfd_hears_of_it_another_has_flows_of_his_own(self):
        way = UDP[0]
        listener, handle = self.begin(way)
        self.listener.close(listener)
        self.person("bob", self.two).listen("udp", "0.0.0.0", PORT)
        bob = self.person("bob", self.one)
        self.assertEqual(bob.connect("udp", way.address, PORT), "connected")
        self.assertNotEqual(self.alice[True].do(person.say, handle, timeout=1), "hello")

    def test_two_users_each_have_theirs_at_one_port(self):
        """Only datagrams to the listeners are tested. Answers would not pass: each user could send under the other's
        address."""
        places = {"alice": "127.0.0.1", "bob": "127.0.0.2"}
        listeners = {user: self.person(user, self.two) for user in places}
        handles = {user: listeners[user].do(person.bound, "udp", address, PORT) for user, address in places.items()}
        for user, address in places.items():
            listeners[user].do(load.count_arrivals, handles[user])
            for _ in range(MANY):
                self.person(user, self.two).do(person.send_to, "udp", address, PORT)
        for user in places:
            wait_until(lambda user=user: listeners[user].do(load.arrivals, handles[user]) == MANY, 3)

    def test_the_same_flow_in_another_network_namespace_is_another(self):
        """A container can have the addresses of its node."""
        way = UDP[0]
        _, handle = self.begin(way)
        container, source = Node("container"), self.alice[True]
        container.run("ip", "addr", "add", f"{way.address}/32", "dev", "lo")
        container.run("ip", "addr", "add", "10.77.0.1/32", "dev", "lo")
        bob = self.person("bob", container)
        taken = bob.do(person.bound, "udp", "0.0.0.0", PORT)
        bob.do(load.count_arrivals, taken)
        port = source.do(person.local_address, handle)[1]
        sender = self.person("bob", container)
        sent = sender.do(person.bound, "udp", "10.77.0.1", port)
        for _ in range(MANY):
            sender.do(person.send_from, sent, way.address, PORT)
        time.sleep(0.1)
        self.assertEqual(bob.do(load.arrivals, taken), MANY)


if __name__ == "__main__":
    case.main()
