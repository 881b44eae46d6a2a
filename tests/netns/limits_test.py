#!/usr/bin/python3
"""The kernel limits how fast a user begins connections ([limits])."""

import collections
import errno
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load  # noqa: E402
from lab.case import USERS, V4, V6, Counted, TwoNodes, wait_until  # noqa: E402

PORT = 9001
OPEN = {"exempt_ports": [PORT]}  # on the way in, so that nothing but the limit counts


def send(sockets, address, port):
    outcomes = collections.Counter()
    for each in sockets:
        try:
            each.sendto(b"x", (address, port))
            outcomes["sent"] += 1
        except OSError as error:
            outcomes[errno.errorcode[error.errno]] += 1
    return dict(outcomes)


def sockets_for(address, count):
    return [socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]


def send_from_each(address, port, count):
    return send(sockets_for(address, count), address, port)


def send_from_one(address, port, count):
    return send(sockets_for(address, 1) * count, address, port)


class Limits(TwoNodes):
    settings = {"scope": OPEN}

    def start_ubfd(self, node, settings=None, **options):
        if node is self.one:
            settings = {"scope": OPEN, "limits": {"new_connections": "50/s burst 20", "action": "refuse"}}
        return super().start_ubfd(node, settings, **options)

    def setUp(self):
        super().setUp()
        for node, address in ((self.two, "::"), (self.one, "::")):
            self.person("alice", node).listen("tcp", address, PORT, backlog=4096)

    def limit(self, **limits):
        self.ubfd1.configure(self.ubfd1.settings | {"limits": limits})
        self.ubfd1.reload()

    def outcomes(self, user, address, count=60):
        return self.person(user, self.one).do(load.connect_steadily, address, PORT, 10000, count / 10000)

    def test_what_is_too_many_is_refused_to_that_user_alone(self):
        for address in (V4, V6, "127.0.0.1", "::1"):
            self.limit(new_connections="50/s burst 21", action="refuse")  # all begin anew
            self.limit(new_connections="50/s burst 20", action="refuse")
            with self.subTest(address), Counted(self.ubfd1) as counted:
                seen = self.outcomes("bob", address)
                self.assertGreaterEqual(seen["connected"], 20)
                self.assertGreater(seen["EHOSTUNREACH"], 5)
                for other in ("carol", "root"):
                    self.assertEqual(self.outcomes(other, address, 15), {"connected": 15})
            self.assertGreaterEqual(counted["kernel.over_limit.packets"], seen["EHOSTUNREACH"])
        wait_until(lambda: self.ubfd1.status()["over_limit"], 5, "the user who is too fast")
        self.assertEqual([user["uid"] for user in self.ubfd1.status()["over_limit"]], [USERS["bob"]])
        self.ubfd1.wait_for_log(f"bob({USERS['bob']}) begins connections or UDP flows faster than [limits] allows")
        page = self.ubfd1.ctl("status").stdout
        self.assertIn(f"limits    too fast within a minute: bob({USERS['bob']})", page)
        self.assertIn("ubf_users_over_limit 1", self.ubfd1.ctl("metrics").stdout)

    def test_what_is_too_many_is_delayed(self):
        self.limit(new_connections="100/s burst 50")
        begun = time.monotonic()
        self.assertEqual(self.outcomes("bob", V4, 100), {"connected": 100})
        self.assertGreater(time.monotonic() - begun, 0.9)

    def test_udp_flows_are_limited_by_their_first_datagram(self):
        for address in (V4, V6, "127.0.0.1", "::1"):
            for action in ("refuse", "delay"):
                self.limit(new_udp_flows="5/s burst 11", action=action)  # all begin anew
                self.limit(new_udp_flows="5/s burst 10", action=action)
                with self.subTest(address, action=action):
                    sent = self.person("bob", self.one).do(send_from_each, address, PORT, 40)
                    self.assertGreaterEqual(sent.pop("sent"), 10)
                    self.assertGreater(sum(sent.values()), 20, sent)
                    self.assertEqual(self.person("carol", self.one).do(send_from_each, address, PORT, 5), {"sent": 5})
                    self.assertEqual(self.person("carol", self.one).do(send_from_one, address, PORT, 40), {"sent": 40})
                    self.assertEqual(self.outcomes("bob", address), {"connected": 60})  # TCP has no limit
        wait_until(lambda: [user["uid"] for user in self.ubfd1.status()["over_limit"]] == [USERS["bob"]], 5)

    def test_a_reload_keeps_the_count_and_another_limit_begins_anew(self):
        self.assertIn("EHOSTUNREACH", self.outcomes("bob", V4))
        self.limit(new_connections="50/s burst 20", action="refuse", users=["1000-4294967294"])
        self.assertIn(str(USERS["bob"]), self.one.run("nft", "list", "set", "inet", "ubf", "new_by_user"))
        self.limit(new_connections="1/s burst 5", action="refuse")
        self.assertLessEqual(self.outcomes("bob", V4, 20)["connected"], 12)
        self.limit(new_connections="1/s burst 5", action="refuse", users=["carol", 1234])
        self.assertEqual(self.outcomes("bob", V4), {"connected": 60})
        self.assertIn("EHOSTUNREACH", self.outcomes("carol", V4))
        self.limit(new_connections="off")
        self.assertEqual(self.outcomes("carol", V4), {"connected": 60})

    def test_a_start_of_4000_ranks_passes_the_limit_that_the_page_proposes(self):
        self.limit(new_connections="1000/s burst 8192", action="refuse")
        self.assertEqual(self.outcomes("bob", V4, 4000), {"connected": 4000})
        self.assertEqual(self.ubfd1.status()["over_limit"], [])

    def test_without_ubfd_it_holds(self):
        self.ubfd1.kill()
        self.assertIn("EHOSTUNREACH", self.outcomes("bob", V4))


if __name__ == "__main__":
    case.main()
