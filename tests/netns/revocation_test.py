#!/usr/bin/python3
"""ubfd remembers the reason of each allowed flow, and ends the flow when the policy no longer allows it or an
administrator says so."""

import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import PROJ, USERS, V4, V6, Counted, wait_until  # noqa: E402
from lab.flows import MORE, PORT, SHARED, SINK, Flows, Servers  # noqa: E402

EX_USAGE = 64
ROOM = 65536  # flows of one worker that rest
LABELLED = {"map": {"teamx": ["alice", "carol"]}}


def memory_kib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0])


class Policy(Servers):
    def test_without_a_reason_ends_what_it_allowed_and_nothing_else(self):
        for protocol in ("tcp", "udp"):
            with self.subTest(protocol):
                same = [self.open("alice", PORT, address, protocol, node)
                        for address, node in ((V4, self.one), (V6, self.one), ("127.0.0.1", self.two))]
                group = [self.open("bob", SHARED, address, protocol, node)
                         for address, node in ((V4, self.one), (V6, self.one), ("::1", self.two))]
                with Counted(self.ubfd2) as counted:
                    begun = time.monotonic()
                    self.reload_with(policy={"same_group": False})
                    self.assert_ends(*group)
                    print(f"{protocol}: ended within {(time.monotonic() - begun) * 1000:.0f} ms", flush=True)
                self.assertEqual(counted["flows_ended"], 3)
                self.assertEqual(counted["flows_not_ended"], 0)
                self.assert_goes_on(*same)
                for flow in group:
                    self.assert_ended_in_log(flow.destination, "reason=different-user", "connector=bob")
                self.assertEqual({flow["reason"] for flow in self.flows()}, {"same-user"})
                self.reload_with(policy={"same_group": True})

    def test_both_ends_see_the_end(self):
        """The connector gets a reset, and the listener an error: neither keeps half a connection."""
        listener = self.group.do(person.listen, "tcp", V4, MORE, answer=False)
        flow = self.person("bob", self.one)
        handle = flow.do(person.send_to, "tcp", V4, MORE)
        self.assertEqual(flow.do(person.outcome, handle), "connected")
        accepted = self.group.do(accept, listener)
        self.reload_with(policy={"same_group": False})
        wait_until(lambda: self.ubfd2.status()["flows_ended"] == 1, 5, "the end")
        self.assertEqual(self.group.do(person.say, accepted), "ECONNABORTED")
        self.assertEqual(flow.say(handle), "ECONNRESET")

    def test_ends_what_nobody_has_accepted_yet(self):
        """The connection ends, and the listener stays."""
        listener = self.group.do(person.listen, "tcp", V4, MORE, answer=False)
        bob = self.person("bob", self.one)
        handle = bob.do(person.send_to, "tcp", V4, MORE)
        self.assertEqual(bob.do(person.outcome, handle), "connected")
        time.sleep(0.1)
        self.reload_with(policy={"same_group": False})
        wait_until(lambda: self.ubfd2.status()["flows_ended"] == 1, 5, "the end")
        self.assertEqual(bob.say(handle), "ECONNRESET")
        self.group.do(person.serve, listener)
        self.assertEqual(self.person("alice", self.one).connect("tcp", V4, MORE), "connected")

    def test_that_changes_nothing_ends_nothing_and_asks_nobody(self):
        flows = [self.open(user, port, V4, protocol) for protocol in ("tcp", "udp")
                 for user, port in (("alice", PORT), ("bob", SHARED))]
        tcp = flows[:2]
        time.sleep(0.5)
        with Counted(self.ubfd2) as counted:
            self.reload_with(log={})
            self.reload_with(ident={"deadline_ms": 800})
            self.reload_with(scope={"exempt_ports": [7777]})
            time.sleep(1)
        self.assertEqual((counted["ident.questions"], counted["flows_ended"]), (0, 0))
        self.assert_goes_on(*flows)
        # A new policy leads to questions only if the uids don't decide.
        with Counted(self.ubfd2) as counted:
            self.reload_with(policy={"exempt_connectors": ["service"]})
            wait_until(lambda: self.ubfd2.status()["ident"]["questions"] >= counted._before["ident"]["questions"] + 2,
                       3, "questions of bob's flows")
            time.sleep(0.5)
        self.assertEqual((counted["ident.questions"], counted["flows_ended"]), (2, 0))
        self.assert_goes_on(*tcp)

    def test_ends_what_an_exempt_user_began(self):
        self.reload_with(policy={"exempt_connectors": ["service", "monitor"]})
        service, monitor = self.open("service", PORT), self.open("monitor", PORT)
        over_udp = self.open("service", PORT, "127.0.0.1", "udp", self.two)
        self.assertEqual({flow["reason"] for flow in self.flows("--user", "service")}, {"exempt-connector"})
        self.reload_with(policy={"exempt_connectors": ["monitor"]})
        self.assert_ends(service, over_udp)
        self.assert_goes_on(monitor)
        self.assert_ended_in_log("connector=service", "reason=different-user")

    def test_that_allows_for_another_reason_ends_nothing(self):
        flow = self.open("bob", SHARED)
        self.reload_with(policy={"exempt_connectors": ["bob"]})
        wait_until(lambda: [f["reason"] for f in self.flows()] == ["exempt-connector"], 3, "the other reason")
        self.reload_with(policy={"exempt_connectors": []})
        wait_until(lambda: [f["reason"] for f in self.flows()] == ["same-group"], 3, "the first reason again")
        self.assert_goes_on(flow)
        self.assertEqual(self.ubfd2.status()["flows_ended"], 0)

    def test_that_puts_a_peer_outside_ends_what_came_from_it(self):
        flow, here = self.open("alice", PORT), self.open("alice", PORT, "127.0.0.1", node=self.two)
        self.reload_with(peers={"ranges": ["10.77.0.2/32"]})
        self.assert_ends(flow)
        self.assert_goes_on(here)
        self.assert_ended_in_log("reason=outside")

    def test_with_a_silent_peer_ends_nothing_at_once(self):
        flow = self.open("bob", SHARED)
        self.ubfd1.kill()
        self.reload_with(policy={"exempt_connectors": ["service"]})
        wait_until(lambda: self.ubfd2.status()["peers"][0]["timeouts"] >= 1, 5, "a question without answer")
        time.sleep(0.5)
        self.assert_goes_on(flow)
        self.assertEqual(self.ubfd2.status()["flows_ended"], 0)
        self.assertEqual(len(self.flows()), 1)


class PolicyOfLabels(Flows):
    labels = LABELLED

    def test_without_a_label_ends_what_it_allowed(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        carol, alice = self.open("carol", PORT), self.open("alice", PORT)
        self.assertEqual(sorted(flow["reason"] for flow in self.flows()), ["same-label", "same-user"])
        self.reload_with(labels={"map": {"teamx": ["carol"]}})
        self.assert_ends(carol)
        self.assert_goes_on(alice)
        self.assert_ended_in_log("connector=carol", "listener none, connector map:teamx")

    def test_of_the_connectors_node_counts_as_well(self):
        """The connector's node tells the listener's node, which decides."""
        self.person("alice", self.two).listen("tcp", "::", PORT)
        carol, alice = self.open("carol", PORT), self.open("alice", PORT)
        self.reload_with(self.ubfd1, labels={"map": {"teamx": ["alice"]}})
        self.assert_ends(carol)
        self.assert_goes_on(alice)
        self.assert_ended_in_log("connector=carol", "listener map:teamx, connector none")


class PolicyThatKeeps(Flows):
    labels = LABELLED | {"when_withdrawn": "keep"}

    def test_flows_that_a_label_allowed_stay(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        carol = self.open("carol", PORT)
        self.reload_with(labels={"map": {"teamx": ["carol"]}})
        time.sleep(1)
        self.assert_goes_on(carol)
        # The flow stays until the site or an administrator ends it.
        self.assertEqual(self.ubfctl("revoke", "--reason", "same-label"), "ended 1 flow\n")
        self.assert_ends(carol)


class Listed(Servers):
    def test_is_what_is_there_with_its_reason(self):
        closed = [self.open("alice", PORT), self.open("alice", PORT, V6)]
        closed[0].person.close(closed[0].handle)  # each end closes first once
        self.alice.do(person.end_accepted)
        closed[1].person.close(closed[1].handle)
        self.open("alice", PORT)
        self.open("bob", SHARED, V6)
        self.open("alice", PORT, "127.0.0.1", node=self.two)
        by_udp = self.open("bob", SHARED, protocol="udp")
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        time.sleep(0.2)
        rows = self.flows()
        self.assertEqual(sorted((row["protocol"], row["reason"], row["connector"]["user"], row["listener"]["user"],
                                 row["to"]) for row in rows),
                         [("tcp", "same-group", "bob", "alice", f"[{V6}]:{SHARED}"),
                          ("tcp", "same-user", "alice", "alice", f"{V4}:{PORT}"),
                          ("tcp", "same-user", "alice", "alice", f"127.0.0.1:{PORT}"),
                          ("udp", "same-group", "bob", "alice", f"{V4}:{SHARED}")])
        self.assertLess(max(row["age_s"] for row in rows), 30)
        self.assertEqual(len(self.flows("--user", "bob")), 2)
        self.assertEqual(len(self.flows("--user", str(USERS["bob"]), "--reason", "same-user")), 0)
        text = self.ubfctl("flows", "--reason", "same-group")
        self.assertIn(by_udp.text, text)
        self.assertRegex(text, r"(?m)^udp .* same-group +bob\(63002\) +alice\(63001\) +\d+s$")

    def test_words_that_mean_nothing_are_told_what_would(self):
        for words, told in (
                (("flows", "--user", "nobody-of-that-name"), "knows no user 'nobody-of-that-name'"),
                (("flows", "--reason", "because"), "'because'; there are exempt-listener, exempt-connector, same-user"),
                (("flows", "--reason", "different-user"), "no flow is allowed for the reason 'different-user'"),
                (("flows", "more"), "flows: "),
                (("revoke",), "revoke takes one flow"),
                (("revoke", "--all", "--user", "bob"), "revoke takes one flow"),
                (("revoke", "--flow", "tcp 10.0.0.1 -> 10.0.0.2:1"), "'tcp 10.0.0.1 -> 10.0.0.2:1' is no flow"),
                (("revoke", "--from", "10.0.0.1:1"), "'tcp 10.0.0.1:1 -> ' is no flow")):
            with self.subTest(" ".join(words)):
                message = self.ubfctl(*words, status=EX_USAGE)
                self.assertIn(told, message)
                self.assertEqual(message.count("\n"), 1)
        # ubfd itself refuses such requests from any program.
        for request, told in (({"user": "bob"}, "not a uid"), ({"user": -1}, "not a uid"),
                              ({"user": 2 ** 32}, "not a uid"), ({"reason": "because"}, "there are exempt-listener"),
                              ({"reason": 7}, "there are exempt-listener"), ({"from": "x"}, "two endpoints"),
                              ({}, "say all"), ({"all": 1}, "say all")):
            answer = self.ubfd2.ask(command="revoke", **request)
            self.assertFalse(answer["ok"])
            self.assertIn(told, answer["error"])


class Revoked(Servers):
    def setUp(self):
        super().setUp()
        self.same = [self.open("alice", PORT), self.open("alice", PORT, V6)]
        self.shared = [self.open("bob", SHARED), self.open("bob", SHARED, V6)]

    def test_by_user(self):
        over_udp = self.open("bob", SHARED, protocol="udp")
        with Counted(self.ubfd2) as counted:
            self.assertEqual(self.ubfctl("revoke", "--user", "bob"), "ended 3 flows\n")
        self.assertEqual(counted["flows_ended"], 3)
        self.assert_ends(*self.shared)
        self.assert_goes_on(*self.same)
        self.assert_ended_in_log("reason=revoked", "connector=bob", "a new connection is decided as ever")
        self.assertEqual(self.flows("--user", "bob"), [])
        # ubfd decides the flow again, and it was always allowed.
        self.assert_goes_on(over_udp)

    def test_by_reason(self):
        self.assertEqual(self.ubfctl("revoke", "--reason", "same-user"), "ended 2 flows\n")
        self.assert_ends(*self.same)
        self.assert_goes_on(*self.shared)

    def test_by_user_and_reason(self):
        self.assertEqual(self.ubfctl("revoke", "--user", "alice", "--reason", "same-user"), "ended 2 flows\n")
        self.assert_goes_on(*self.shared)
        self.assertEqual(self.ubfctl("revoke", "--user", "carol"), "ended 0 flows\n")

    def test_by_flow(self):
        first, second = self.shared
        self.assertEqual(self.ubfctl("revoke", "--flow", first.text), "ended 1 flow\n")
        self.assert_ends(first)
        self.assert_goes_on(second, *self.same)
        self.assertEqual(self.ubfctl("revoke", "--from", second.source, "--to", second.destination, "--proto", "udp"),
                         "ended 0 flows\n")
        self.assertEqual(self.ubfctl("revoke", "--from", second.source, "--to", second.destination, "--json"),
                         json.dumps({"ok": True, "ended": 1, "not_ended": 0, "queues_missing": 0}, indent=2) + "\n")
        self.assert_ends(second)
        self.assert_goes_on(*self.same)

    def test_all(self):
        self.assertEqual(self.ubfctl("revoke", "--all"), "ended 4 flows\n")
        self.assert_ends(*self.same, *self.shared)
        self.assertEqual(self.flows(), [])

    def test_can_be_made_anew(self):
        self.ubfctl("revoke", "--all")
        self.assert_ends(*self.shared)
        again = self.open("bob", SHARED)
        self.assert_goes_on(again)
        self.assertEqual([flow["from"] for flow in self.flows()], [again.source])

    def test_is_no_end_for_listeners(self):
        """An ended connection's flow says nothing about the socket that the kernel finds for it."""
        for flow in self.same:
            flow.person.close(flow.handle)
        self.alice.do(person.end_accepted)
        time.sleep(0.3)
        self.assertEqual(self.ubfctl("revoke", "--flow", self.same[0].text), "ended 0 flows\n")
        self.assert_goes_on(self.open("alice", PORT))


class Many(Flows):
    def setUp(self):
        super().setUp()
        for node in (self.one, self.two):
            node.set_sysctl("net.ipv4.ip_local_port_range", "10000 60999")
            node.set_sysctl("net.core.somaxconn", "4096")
        self.storm = case.build / "tests" / "bench" / "storm"
        process = self.two.start(self.storm, "serve", "tcp", SINK, user="alice", stdout=-1)
        self.assertEqual(process.stdout.readline(), "ready\n")
        for cleanup in (process.stdout.close, process.wait, process.kill):
            self.addCleanup(cleanup)

    def connect(self, count, concurrency=64, address=V4):
        result = json.loads(self.one.run(self.storm, "connect", "tcp", address, SINK, count, concurrency, user="alice"))
        self.assertEqual((result["connected"], result["errors"]), (count, {}))
        return result

    def test_that_are_over_take_bounded_room(self):
        self.connect(20_000)
        before = memory_kib(self.ubfd2.process)
        for address in (V4, V6, V4, V6):
            self.connect(20_000, address=address)
        status = self.ubfd2.status()
        after = memory_kib(self.ubfd2.process)
        queues = len(status["queues"])
        print(f"memory {before} KiB after 20,000 connections, {after} KiB after 100,000; "
              f"{status['flows_remembered']} remembered, {status['flows_not_remembered']} not", flush=True)
        self.assertLessEqual(status["flows_remembered"], queues * ROOM)
        if not case.is_sanitized():
            self.assertLess(after - before, queues * ROOM * 130 / 1024)
        # When listed, the flows turn out to be over, and are forgotten.
        time.sleep(1.1)  # a new flow's socket may appear late
        begun = time.monotonic()
        wait_until(lambda: not self.flows(), 10, "their end")
        print(f"listed in {(time.monotonic() - begun) * 1000:.0f} ms", flush=True)
        wait_until(lambda: self.ubfd2.status()["flows_remembered"] < 1000, 5, "that they are forgotten")

    def test_are_listed_and_ended_while_others_begin(self):
        quiet = self.connect(20_000)
        process = self.one.start(self.storm, "connect", "tcp", V4, SINK, 20_000, 64, user="alice", stdout=-1)
        asked = 0
        while process.poll() is None:
            self.flows()
            self.ubfctl("revoke", "--user", "bob")
            asked += 1
        busy = json.loads(process.communicate()[0])
        print(f"listed {asked} times; p99 {quiet['p99_us']} us without, {busy['p99_us']} us with", flush=True)
        self.assertGreater(asked, 1)
        self.assertEqual((busy["connected"], busy["errors"]), (20_000, {}))

    def test_that_live_are_decided_again_without_a_stall(self):
        """The policy needs a question and a search for each flow."""
        server = self.person("alice", self.two, group=PROJ, descriptors=2000)
        bob = self.person("bob", self.one, descriptors=2000)
        server.listen("tcp", "::", SHARED, backlog=4096)
        count = 300
        self.assertEqual(bob.do(hold, V4, SHARED, count), count)
        before = questions(self.ubfd2)
        with Counted(self.ubfd2) as counted:
            begun = time.monotonic()
            self.reload_with(policy={"exempt_connectors": ["service"]})
            result = self.connect(2000, 1)
            wait_until(lambda: questions(self.ubfd2) >= before + count + 2000, 60, "all questions")
            print(f"{count} decided again within {time.monotonic() - begun:.2f} s; meanwhile p99 {result['p99_us']} us",
                  flush=True)
        self.assertEqual(counted["flows_ended"], 0)
        begun = time.monotonic()
        self.reload_with(policy={"exempt_connectors": [], "same_group": False})
        wait_until(lambda: self.ubfd2.status()["flows_ended"] == count, 60, "the end of all")
        print(f"{count} ended within {time.monotonic() - begun:.2f} s", flush=True)


def questions(ubfd):
    return ubfd.status()["ident"]["questions"]


def accept(handle):
    return person.keep(person._sockets[handle].accept()[0])


def hold(address, port, count):
    """Opens `count` connections and leaves them open. Returns the number of open sockets."""
    for _ in range(count):
        answer = person.connect("tcp", address, port)
        if answer["text"] != "connected":
            break
    return len(person._sockets)


if __name__ == "__main__":
    case.main()
