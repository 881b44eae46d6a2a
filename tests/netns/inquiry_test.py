#!/usr/bin/python3
"""`ubfctl explain` at the connector's node asks the listener's node, which decides; and peers that abuse that."""

import concurrent.futures
import pathlib
import secrets
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, ident, write_key  # noqa: E402
from lab.case import USERS, V4, V6, Counted, TwoNodes, wait_until  # noqa: E402

PORT, EXEMPT = 9001, 9003
HERE, US = "10.77.0.1", (V4, ident.PORT)  # the liar's address, and the address it lies to
WAYS = (("tcp", HERE, V4), ("tcp", "fd77::1", V6), ("udp", HERE, V4), ("udp", "fd77::1", V6))


def end(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Inquiry(TwoNodes):
    settings = {"scope": {"exempt_ports": [EXEMPT]}}

    def explain(self, ubfd, protocol, source, to, port=PORT, **more):
        return ubfd.ask(command="explain", protocol=protocol, to=end(to, port), **{"from": source}, **more)

    def test_both_nodes_say_the_same(self):
        alice = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            alice.listen(protocol, "::", PORT)
        with Counted(self.ubfd2) as counted:
            for protocol, here, there in WAYS:
                for user, reason in (("alice", "same-user"), ("bob", "different-user")):
                    with self.subTest(f"{protocol} {here} {user}"):
                        ask = (protocol, end(here, 1), there)
                        remote = self.retry(lambda ask=ask, user=user: self.explain(self.ubfd1, *ask, **{"as": USERS[user]}))
                        own = self.explain(self.ubfd2, *ask, **{"as": USERS[user]})
                        self.assertEqual(remote["verdict"]["reason"], reason)
                        self.assertEqual(remote["decided_by"], there)
                        for key in ("action", "reason", "hint", "observed"):
                            self.assertEqual(remote["verdict"][key], own["verdict"][key])
                        for which, uid in (("listener", USERS["alice"]), ("connector", USERS[user])):
                            self.assertEqual(remote[which]["uid"], uid)
        self.assertGreaterEqual(counted["ident.inquiries_answered"], 8)
        text = self.ubfd1.ctl("explain", "--from", f"{HERE}:1", "--to", f"{V4}:{PORT}").stdout
        self.assertIn("so: deny (connector-unknown)", text)
        self.assertTrue(self.retry(lambda: self.explain(self.ubfd1, "tcp", f"{HERE}:1", V4, EXEMPT))["verdict"]["unwatched"])

    def retry(self, ask):
        """A node answers two inquiries of a peer a second; the asker repeats its own meanwhile."""
        answers = []
        wait_until(lambda: answers.append(ask()) or answers[-1]["ok"], 10)
        return answers[-1]

    def test_a_flow_that_is_no_matter_of_both_nodes_is_not_asked_about(self):
        for source, to in (("10.77.0.9:1", V4), (f"{HERE}:1", "192.0.2.1")):
            self.assertIn("so ask there", self.explain(self.ubfd1, "tcp", source, to)["error"])


class Liar(TwoNodes):
    """node1 runs no ubfd; the test has its port."""
    settings = {"ident": {"deadline_ms": 300}}

    def start_daemons(self):
        secret = secrets.token_hex(32)
        write_key(self.key, secret)
        self.ubfd2 = self.start_ubfd(self.two)
        self.peer = ident.Peer(self.one, secret)
        self.addCleanup(self.peer.close)

    def send(self, entries, kind=ident.INQUIRY, key=None, **options):
        data = ident.datagram(entries, (HERE, ident.PORT), US, key or self.peer.key, kind=kind, channel=0, **options)
        self.peer.send(data, US)
        return data

    def test_a_node_is_told_of_its_own_flows_alone_and_of_a_few(self):
        flow = ident.flow((HERE, 1), (V4, PORT))
        with Counted(self.ubfd2) as counted:
            self.send([ident.inquiry(ident.flow(("10.77.0.9", 1), (V4, PORT))),
                       ident.inquiry(ident.flow((HERE, 1), ("10.77.0.9", PORT))),
                       ident.inquiry(ident.flow((V4, 1), (V4, PORT)))])
            self.send([ident.inquiry(flow)], key=b"?" * 32)
            self.send([ident.inquiry(flow)], skew=-3600)
            self.peer.send(self.send([b"\0" * 8 + struct.pack(">BI", 0, 0) + flow]), US)
            self.send([ident.inquiry(flow) + b"x"])
            self.send([secrets.token_bytes(8) + struct.pack(">BII", 0, 0, 0) + b"\x0edifferent-user"], ident.DECISION)
            wait_until(lambda: self.ubfd2.status()["ident"]["rejected"]["unasked"] > 0)
        for name, number in (("not-theirs", 3), ("wrong-key", 1), ("late", 1), ("repeated", 1), ("malformed", 1),
                             ("unasked", 1)):
            self.assertEqual(counted[f"ident.rejected.{name}"], number, name)
        with Counted(self.ubfd2) as counted:
            for _ in range(50):
                self.send([ident.inquiry(flow) for _ in range(20)])
            wait_until(lambda: self.ubfd2.status()["ident"]["inquiries_refused"] > 900)
        self.assertLess(counted["ident.inquiries_answered"], 20)
        self.assert_alive(self.ubfd2)

    def test_a_decision_answers_once_and_from_the_node_that_was_asked(self):
        """The test is the deciding node."""
        def entry(nonce, reason=b"same-user", flags=3):
            return nonce + struct.pack(">BII", flags, USERS["alice"], USERS["bob"]) + bytes([len(reason)]) + reason

        ask = {"command": "explain", "protocol": "tcp", "from": f"{V4}:1", "to": f"{HERE}:{PORT}"}
        with concurrent.futures.ThreadPoolExecutor(1) as pool, Counted(self.ubfd2) as counted:
            asked = pool.submit(self.ubfd2.ask, **ask)
            nonce = self.peer.socket.recvmsg(2048, 256)[0][24:32]
            self.send([entry(secrets.token_bytes(8), b"different-user")], ident.DECISION)
            self.send([entry(nonce, b"no-such-reason")], ident.DECISION)
            self.send([entry(nonce)], ident.DECISION, key=b"?" * 32)
            self.send([entry(nonce)], ident.DECISION, skew=3600)  # its clock matters as little as an answer's
            self.send([entry(nonce, b"different-user")], ident.DECISION)  # too late
            answer = asked.result()
            wait_until(lambda: self.ubfd2.status()["ident"]["rejected"]["unasked"] >= 2)
        self.assertEqual((answer["verdict"]["reason"], answer["connector"]["uid"]), ("same-user", USERS["alice"]))
        for name, number in (("unasked", 2), ("malformed", 1), ("wrong-key", 1)):
            self.assertEqual(counted[f"ident.rejected.{name}"], number, name)
        # An older ubfd says nothing.
        self.assertIn("did not say within", self.ubfd2.ask(**ask)["error"])


if __name__ == "__main__":
    case.main()
