#!/usr/bin/python3
"""Web portals ask first, and the firewall remembers. No portal runs here: the test asks ubfd's socket as ubf-portal
would, and a person connects as the portal's user, 'service'. node1 has the portal, node2 the servers of others."""

import ctypes
import errno
import json
import pathlib
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import FOLDER, PROJ, USERS, V4, V6, Counted, TwoNodes, wait_until  # noqa: E402
from lab.portal import ask_ubfd  # noqa: E402
from lab.tree import add_users  # noqa: E402

OWN, SHARED, NOBODY, MORE = 8888, 8889, 8890, 8891
HERE4, HERE6 = "10.77.0.1", "fd77::1"  # node1's addresses
REFUSED = "EHOSTUNREACH"
PORTALS = {"peers": [HERE4, HERE6]}  # on every node
OF_NODE1 = PORTALS | {"users": ["service", "monitor"], "for": [f"{USERS['alice']}-{USERS['carol']}"]}


def text(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Tickets(TwoNodes):
    more = {}  # settings of both nodes
    portal = {}  # of node1

    def start_daemons(self):
        add_users(USERS | {"ubf-portal": 63020}, case.GROUPS)
        self.ubfd1 = self.start_ubfd(self.one, self.more | {"portal": OF_NODE1 | self.portal})
        self.ubfd2 = self.start_ubfd(self.two, self.more | {"portal": PORTALS})
        self.www = self.person("service", self.one)

    def ask(self, user, target, asker="service", wait=5, **more):
        """Asks as ubf-portal does. Returns the answer."""
        return ask_ubfd([{"user": user, "asker": USERS[asker], "pid": self.www.pid, "target": target} | more],
                        wait)[0]

    def may(self, user, address, port, **more):
        """The reason of the answer, which must agree with the rest of it."""
        answer = self.ask(user, text(address, port), **more)
        if answer["allowed"]:
            self.assertEqual(answer["address"], text(address, port))
        else:
            self.assertTrue(answer["explain"].isprintable() and answer["explain"].isascii())
        return answer["reason"]

    def connect(self, address, port, who=None, **options):
        return (who or self.www).connect("tcp", address, port, **options)

    def serve(self, user, port, node=None, **options):
        server = self.person(user, node or self.two, **options)
        return server, server.listen("tcp", "::", port)

    def flows(self, ubfd, user):
        return json.loads(ubfd.ctl("flows", "--json", "--user", user).stdout)["flows"]

    def assert_all_by_the_portal(self, user, number):
        """All flows of the user are the portal's user's as well, on the listener's node."""
        ends = [[(flow["from"], flow["connector"]["via"]) for flow in sorted(self.flows(self.ubfd2, whose), key=str)]
                for whose in ("service", user)]
        self.assertEqual(ends[0], ends[1])
        self.assertEqual(len(ends[0]), number)

    def reload_with(self, ubfd, **sections):
        self.assertIn("reloaded ", ubfd.reload_with(**sections))

    def assert_ends(self, seen):
        wait_until(lambda: self.www.say(seen.handle, timeout=0.3) != "hello", 5, "the end of the connection")


class Everywhere(Tickets):
    def test_the_next_connection_is_decided_as_the_users_and_only_that_one(self):
        for node in (self.one, self.two):
            self.serve("alice", OWN, node)
            self.serve("alice", SHARED, node, group=PROJ)
        for address, ubfd in ((V4, self.ubfd2), (V6, self.ubfd2), (HERE4, self.ubfd1), (HERE6, self.ubfd1)):
            with self.subTest(address):
                self.assertEqual(self.connect(address, OWN), REFUSED)  # nobody asked
                with Counted(self.ubfd1) as counted:
                    self.assertEqual(self.may("alice", address, OWN), "same-user")
                    self.assertEqual(self.connect(address, OWN), "connected")
                    self.assertEqual(self.connect(address, OWN), REFUSED)  # the ticket is spent
                self.assertEqual([counted[f"portal.{name}"] for name in
                                  ("asked", "allowed", "tickets.spent")], [1, 1, 1])
                self.assertGreaterEqual(counted["portal.tickets.missing"], 1)
                self.assertEqual(self.may("bob", address, OWN), "different-user")
                self.assertEqual(self.connect(address, OWN), REFUSED)
                self.assertEqual(self.may("bob", address, SHARED), "same-group")
                self.assertEqual(self.connect(address, SHARED), "connected")
                self.assertEqual(self.may(str(USERS["carol"]), address, SHARED), "different-user")
                self.assertEqual(self.may("alice", address, NOBODY), "no-listener")
                via = {flow["reason"]: flow["connector"] for flow in self.flows(ubfd, "alice")}
                self.assertEqual(via["same-user"]["via"], USERS["service"])
        self.assert_denied(self.ubfd1, "reason=different-user", "connector=bob(63002) via=service(63004)",
                           "listener=alice(63001)")

    def test_a_ticket_is_for_one_portal_one_target_and_one_listener(self):
        server, handle = self.serve("alice", OWN)
        self.serve("service", NOBODY)
        with Counted(self.ubfd2) as counted:  # the portal's own, without a ticket; no kernel recognises it even so
            self.assertEqual(self.connect(V4, NOBODY), "connected")
        self.assertEqual(counted.reasons(), {"same-user": 1})
        self.serve("alice", MORE)
        self.serve("alice", OWN, self.one)
        other = self.person("monitor", self.one)
        self.assertEqual(self.may("alice", V4, OWN), "same-user")
        self.assertEqual(self.connect(V4, OWN, other), REFUSED)  # another portal
        for address, port in ((V4, MORE), (V6, OWN), (HERE4, OWN)):
            self.assertEqual(self.connect(address, port), REFUSED)
        server.close(handle)
        self.serve("carol", OWN)  # takes the port after the answer
        self.assertEqual(self.connect(V4, OWN), REFUSED)
        self.assert_denied(self.ubfd2, "reason=different-user", "connector=alice(63001) via=service(63004) person[",
                           "listener=carol(63003)")
        self.assertEqual(self.may("carol", V4, OWN, asker="monitor"), "same-user")
        self.assertEqual(self.connect(V4, OWN), REFUSED)
        self.assertEqual(self.connect(V4, OWN, other), "connected")

    def test_a_socket_that_connects_anew_needs_another_ticket(self):
        """A program may end its connection and begin another with the same socket, by the same source port even."""
        for node in (self.one, self.two):
            self.serve("alice", OWN, node)
            self.serve("alice", MORE, node)
        for port, address in enumerate((V4, V6, HERE4, HERE6), 40001):
            with self.subTest(address):
                self.assertEqual(self.may("alice", address, OWN), "same-user")
                first = self.connect(address, OWN, bind=("::" if ":" in address else "0.0.0.0", port))
                self.assertEqual(first, "connected")
                self.assertEqual(self.www.do(connect_anew, first.handle, address, MORE), REFUSED)
                self.assertEqual(self.may("alice", address, MORE), "same-user")
                self.assertEqual(self.www.do(connect_anew, first.handle, address, MORE), "connected")
                self.assertEqual(self.www.do(connect_anew, first.handle, address, OWN), REFUSED)
                # Another socket of the same ends.
                self.assertEqual(self.may("alice", address, OWN), "same-user")
                self.www.close(first.handle)
                for outcome in ("connected", REFUSED):
                    again = self.connect(address, OWN, bind=("::" if ":" in address else "0.0.0.0", port))
                    self.assertEqual(again, outcome)
                    self.www.do(cut, again.handle)

    def test_answers_name_the_reason_and_come_to_each_question(self):
        self.serve("alice", OWN)
        expected = {("alice", text(V4, OWN)): ("same-user", None), ("bob", text(V6, OWN)): ("different-user", 403),
                    ("alice", text(V4, NOBODY)): ("no-listener", 404), ("root", text(V4, OWN)): ("no-user", 403),
                    ("service", text(V4, OWN)): ("no-user", 403), ("nobody", text(V4, OWN)): ("no-user", 403),
                    ("no-such-name", text(V4, OWN)): ("no-user", 403),
                    ("alice", "localhost:8888"): ("malformed", 400), ("alice", "[::ffff:10.77.0.2]:8888"):
                    ("malformed", 400), ("alice", "127.0.0.1:8888"): ("not-a-target", 403),
                    ("alice", "10.77.0.2:22"): ("not-a-target", 403), ("alice", "192.0.2.1:8888"):
                    ("not-a-target", 403)}
        questions = [{"user": user, "asker": USERS["service"], "pid": 1, "target": target}
                     for user, target in expected]
        seen = [(answer["reason"], answer.get("status")) for answer in ask_ubfd(questions)]
        self.assertEqual(seen, list(expected.values()))
        self.assertEqual(self.may("alice", V4, OWN, asker="alice"), "not-a-portal")
        many = ask_ubfd([questions[0]] * 250, wait=10)
        self.assertEqual({answer["reason"] for answer in many}, {"same-user"})
        status = self.ubfd1.status()["portal"]
        self.assertEqual(status["asked"], 263)
        self.assertEqual(status["refused"]["no-user"], 4)
        self.assertEqual(status["tickets"]["evicted"], 251 - 64)
        with socket.socket(socket.AF_UNIX) as desk:  # nonsense harms nobody
            desk.connect(str(FOLDER / "portal.sock"))
            desk.settimeout(3)
            desk.sendall(b"\xff{}\n[]\n{\"may\": 3}\n" + b"x" * 10000)
            desk.shutdown(socket.SHUT_WR)
            while desk.recv(4096):
                pass
        # Others do not even connect, so that they take nobody's place in the queue of the socket.
        for user, answer in (("carol", "EACCES"), ("service", "EACCES"), ("ubf-portal", '"malformed"')):
            self.assertIn(answer, self.person(user, self.one).do(talk_to, str(FOLDER / "portal.sock")), user)
        self.assert_alive(self.ubfd1, self.ubfd2)

    def test_a_connection_is_listed_by_its_user_survives_a_restart_and_can_be_ended(self):
        self.serve("alice", OWN)
        self.serve("alice", SHARED, group=PROJ)
        self.assertEqual(self.may("alice", V4, OWN), "same-user")
        first = self.connect(V4, OWN)
        page = self.ubfd2.ctl("flows", "--user", "alice", "-o", "flow,connector").stdout
        self.assertIn("alice(63001) via service(63004)", page)
        self.assert_all_by_the_portal("alice", 1)
        steps = self.ubfd2.ask(command="explain", to=text(V4, OWN), protocol="tcp",
                               **{"from": text(*first.local)})["steps"]
        self.assertIn("a socket of the web portal of service(63004), for alice(63001), program ", "".join(steps))
        self.assertEqual(self.may("bob", V4, OWN), "different-user")
        why = self.ubfd1.ctl("why", socket=self.ubfd1.user_socket, user="bob").stdout
        self.assertIn("a web portal, for you, wanted to reach alice's server on port 8888", why)
        self.assertEqual(self.may("bob", V4, SHARED), "same-group")
        second = self.connect(V4, SHARED)
        # After a restart, the portal's node still knows whose connection it is, when it is asked again.
        self.ubfd1.stop()
        self.ubfd1.start()
        self.reload_with(self.ubfd2, policy={"ignored_groups": ["common"]})
        wait_until(lambda: self.ubfd1.status()["ident"]["answered"] > 0)
        self.assertEqual(self.www.say(second.handle), "hello")
        self.assert_all_by_the_portal("alice", 2)
        self.reload_with(self.ubfd2, policy={"ignored_groups": ["common", "proj"]})
        self.assert_ends(second)
        self.assertEqual(self.www.say(first.handle), "hello")
        self.www.close(second.handle)
        wait_until(lambda: self.ubfd1.status()["portal"]["connections"] == 1)

        self.ubfd1.kill()
        self.ubfd1.start()
        self.assertEqual(self.www.say(first.handle), "hello")
        self.assertEqual(self.connect(V4, OWN), REFUSED)
        self.assertEqual(self.may("alice", V4, OWN), "same-user")
        third = self.connect(V4, OWN)
        self.assertEqual(third, "connected")
        self.ubfd2.ctl("revoke", "--user", "alice")
        self.assert_ends(first)
        self.assert_ends(third)
        for seen in (first, third):
            self.www.close(seen.handle)
        wait_until(lambda: self.ubfd1.status()["portal"]["connections"] == 0)


def connect_anew(handle, address, port):
    sock = person._sockets[handle]
    nowhere = struct.pack("H14x", socket.AF_UNSPEC)
    ctypes.CDLL(None).connect(sock.fileno(), nowhere, len(nowhere))
    sock.settimeout(3)
    try:
        sock.connect((address, port))
        sock.send(b"hello")
        return "connected" if sock.recv(100) == b"hello" else "closed"
    except OSError as error:
        return errno.errorcode[error.errno]


def cut(handle):
    """Closes the socket by a reset, so that its port is free at once."""
    sock = person._sockets[handle]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    person.close(handle)


def talk_to(path):
    with socket.socket(socket.AF_UNIX) as desk:
        desk.settimeout(3)
        try:
            desk.connect(path)
            desk.sendall(b'{"may": {}, "id": 1}\n')
            return desk.recv(1000).decode() or "hung up on"
        except OSError as error:
            return errno.errorcode[error.errno]


class Numbers(Tickets):
    portal = {"for": ["63001-63009"]}

    def test_a_login_that_is_a_number_is_not_taken_for_the_user_of_that_uid(self):
        add_users(USERS | {str(USERS["alice"]): 63008, "6300999": 63009}, case.GROUPS)
        self.serve("alice", OWN)
        self.serve("6300999", SHARED)
        self.assertEqual(self.may(str(USERS["alice"]), V4, OWN), "no-user")  # alice's uid, and another's name
        self.assertEqual(self.may("0" + str(USERS["alice"]), V4, OWN), "no-user")
        self.assertEqual(self.connect(V4, OWN), REFUSED)
        self.assertEqual(self.may("alice", V4, OWN), "same-user")
        for user in ("6300999", "63009"):
            self.assertEqual(self.may(user, V4, SHARED), "same-user")


class Sources(Tickets):
    portal = {"source_ports": [40001]}

    def test_a_ticket_may_name_its_source(self):
        self.serve("alice", OWN)
        self.assertEqual(self.may("alice", V4, OWN, source=text(HERE4, 40001)), "same-user")
        self.assertEqual(self.connect(V4, OWN), REFUSED)
        self.assertEqual(self.connect(V4, OWN, bind=(HERE4, 40001)), "connected")
        self.assertEqual(self.may("alice", V4, OWN, source=text(HERE4, 40002)), "malformed")


class Brief(Tickets):
    portal = {"ticket_s": 1}

    def test_a_ticket_expires(self):
        self.serve("alice", OWN)
        self.assertEqual(self.may("alice", V4, OWN), "same-user")
        with Counted(self.ubfd1) as counted:
            time.sleep(1.01)
            self.assertEqual(self.connect(V4, OWN), REFUSED)
            wait_until(lambda: self.ubfd1.status()["portal"]["tickets"]["expired"] == 1)
        self.assertEqual(counted["portal.tickets.spent"], 0)

    def test_a_node_that_does_not_say_who_listens_is_not_reached(self):
        self.serve("alice", OWN)
        with Counted(self.ubfd2) as counted:
            self.reload_with(self.ubfd2, portal={"peers": []})
            self.assertEqual(self.may("alice", V4, OWN), "no-answer")
            self.assertEqual(self.may("alice", V4, NOBODY), "no-answer")  # it tells no more of closed ports
        self.assertGreaterEqual(counted["ident.listeners_refused"], 2)  # more if a question was repeated
        self.ubfd1.wait_for_log("10.77.0.2 does not tell this node who listens there")
        self.ubfd2.kill()
        for most in (2, 0.8):  # seconds: the second is not waited for, which would take 0.9
            start = time.monotonic()
            answer = self.ask("alice", text(V4, OWN))
            self.assertLess(time.monotonic() - start, most)
            self.assertEqual((answer["reason"], answer["status"]), ("no-answer", 504))
        # Off while nobody is listed; on again by a reload.
        self.reload_with(self.ubfd1, portal={"users": []})
        self.assertFalse((FOLDER / "portal.sock").exists())
        self.reload_with(self.ubfd1, portal={"users": ["service"]})
        self.ubfd2.start()
        self.reload_with(self.ubfd2, portal={"peers": [HERE4]})
        wait_until(lambda: self.may("alice", V4, OWN) == "same-user")  # within a second
        self.assertEqual(self.connect(V4, OWN), "connected")


class Labelled(Tickets):
    more = {"policy": {"require_label": True}, "labels": {"map": {"teamx": ["alice", "bob"]}}}

    def test_the_map_labels_the_user_and_nothing_else_does(self):
        self.serve("alice", OWN)
        for user, reason, outcome in (("alice", "same-user", "connected"), ("bob", "same-label", "connected"),
                                      ("carol", "label-required", REFUSED)):
            with self.subTest(user):
                self.assertEqual(self.may(user, V4, OWN), reason)
                self.assertEqual(self.connect(V4, OWN), outcome)


if __name__ == "__main__":
    case.main()
