#!/usr/bin/python3
"""Observe mode: all is decided and told, and nothing is refused. Then the site enforces."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import PEERS, REFUSED, V4, V6, TwoNodes, wait_until  # noqa: E402
from lab.tree import FOLDER  # noqa: E402

PORT, OTHER, CONTROLLER = 9001, 9002, 6817


class Observing(TwoNodes):
    settings = {"policy": {"mode": "observe"}}

    def would_deny(self, ubfd):
        return [line for line in ubfd.log().splitlines() if " would-deny " in line]

    def ubfctl(self, *words, statuses=(0,)):
        process = self.ubfd2.ctl(*words)
        self.assertIn(process.returncode, statuses, process.stderr)
        return process.stdout

    def test_another_user_gets_through_over_both_families_and_is_told_of(self):
        alice, bob = self.person("alice", self.two), self.person("bob", self.one)
        alice.listen("tcp", "::", PORT)
        alice.listen("udp", "::", PORT)
        for address in (V4, V6):
            self.assertEqual(bob.connect("tcp", address, PORT), "connected")
            self.assertEqual(bob.connect("udp", address, PORT), "connected")
        lines = self.would_deny(self.ubfd2)
        self.assertEqual(len(lines), 4, self.ubfd2.log())
        for line in lines:
            self.assertIn("reason=different-user connector=bob(63002)", line)
        self.assertEqual(self.ubfd2.denials(), [])
        status = self.ubfd2.status()
        self.assertEqual(status["observing"]["would_deny"]["different-user"], 4)
        self.assertEqual(status["actions"]["deny"], 0)

    def test_a_flow_of_udp_stays_in_the_kernel(self):
        alice, bob = self.person("alice", self.two), self.person("bob", self.one)
        alice.listen("udp", "::", PORT)
        self.assertEqual(bob.connect("udp", V4, PORT), "connected")
        kept = self.ubfd2.status()["verdicts_in_kernel"]
        self.assertEqual(kept["udp"] + kept["fabric_udp"], 1)

    def test_what_the_ruleset_refuses_by_itself_passes_too(self):
        rules = [line for line in self.ubfctl("ruleset", str(self.ubfd2.config)).splitlines()
                 if not line.strip().startswith("#")]
        refusing = [rule for rule in rules if " reject" in rule or " drop" in rule]
        self.assertEqual(len(refusing), 2, refusing)  # at ident, on the fabric and elsewhere
        for rule in refusing:
            self.assertIn("$ident_port", rule)

    def test_a_report_has_what_the_ruleset_will_refuse_by_itself(self):
        """A login node that slurm.conf does not name asks the controller. Nobody asks ubfd about that."""
        conf = FOLDER / "slurm.conf"
        conf.write_text("ClusterName=lab\nSlurmctldHost=node2(10.77.0.2)\nSrunPortRange=60001-60100\n"
                        "NodeName=node2 NodeAddr=10.77.0.2\n")
        slurm = {"slurm": {"conf": str(conf)}}
        self.ubfd2.reload_with(**slurm)
        self.person("root", self.two).listen("tcp", "::", CONTROLLER)
        bob = self.person("bob", self.one)
        self.assertEqual(bob.connect("tcp", V4, CONTROLLER), "connected")
        for words, begin in ((["report"], ""), (["report", "--suggest"], "# ")):
            text = self.ubfctl(*words)
            self.assertIn(f"{begin}the rules alone refuse, or would, without a question to ubfd:\n", text)
            self.assertRegex(text, rf"{begin} +\d+  slurm_foreign: packets to Slurm's ports .*submit_hosts")
        file = FOLDER / "report.json"
        file.write_text(self.ubfctl("--json", "report"))
        self.assertIn("slurm_foreign", self.ubfctl("report", "--from", str(file), str(file)))
        self.ubfd2.configure({"peers": {"ranges": PEERS}, **slurm})
        self.ubfd2.reload()
        self.assertEqual(bob.connect("tcp", V4, CONTROLLER), REFUSED["v4"])

    def test_while_no_ubfd_runs_all_passes(self):
        alice, bob = self.person("alice", self.two), self.person("bob", self.one)
        alice.listen("tcp", "::", PORT)
        self.ubfd2.kill()
        self.assertEqual(bob.connect("tcp", V4, PORT), "connected")
        self.assertEqual(bob.connect("tcp", V6, PORT), "connected")
        self.ubfd2.start()

    def test_the_first_line_and_the_exit_status_say_so(self):
        text = self.ubfctl("status", statuses=(3,))
        self.assertRegex(text, r"^\S+: OBSERVING ONLY: nothing is refused")
        self.assertIn("NOTHING IS REFUSED", self.ubfd2.log())

    def test_explain_says_that_it_would_be_refused(self):
        alice, bob = self.person("alice", self.two), self.person("bob", self.one)
        alice.listen("tcp", "::", PORT)
        bob.connect("tcp", V4, PORT)
        flow = self.ubfd2.ask(command="flows")["flows"][0]
        self.assertEqual(flow["reason"], "observed")
        answer = self.ubfd2.ask(command="explain", protocol="tcp", **{"from": flow["from"], "to": flow["to"]})
        self.assertEqual((answer["verdict"]["action"], answer["verdict"]["observed"]), ("deny", True))

    def test_enforcing_ends_what_was_only_observed_and_keeps_the_rest(self):
        alice, bob = self.person("alice", self.two), self.person("bob", self.one)
        alice.listen("tcp", "::", PORT)
        own = self.person("alice", self.one)
        observed, kept = bob.connect("tcp", V4, PORT).handle, own.connect("tcp", V4, PORT).handle
        self.ubfd2.configure({"peers": {"ranges": PEERS}})
        self.ubfd2.reload()
        wait_until(lambda: bob.say(observed) == "ECONNRESET", seconds=15)
        self.assertEqual(own.say(kept), "hello")
        self.assertEqual(bob.connect("tcp", V4, PORT), REFUSED["v4"])
        self.assert_denied(self.ubfd2, "different-user", "bob")

    def test_a_report_and_its_suggestions_open_just_what_was_seen(self):
        alice, bob, carol = (self.person(name, node) for name, node in
                             (("alice", self.two), ("bob", self.one), ("carol", self.one)))
        for port in (PORT, OTHER):
            alice.listen("tcp", "::", port)
        for _ in range(3):
            self.assertEqual(bob.connect("tcp", V4, PORT), "connected")
        self.assertEqual(carol.connect("tcp", V4, PORT), "connected")
        text = self.ubfctl("report")
        self.assertIn("would deny 4 flows of 2 users", text)
        self.assertIn("different-user, by 2 users: bob, carol; all are members of group common", text)
        suggested = self.ubfctl("report", "--suggest")
        self.assertIn(f'"bob>alice tcp/{PORT}@{V4}"', suggested)
        settings = {"peers": {"ranges": PEERS},
                    "policy": {"allow": [line.strip().strip(',"') for line in suggested.splitlines()
                                         if line.strip().startswith('"')]}}
        self.assertEqual(len(settings["policy"]["allow"]), 2)
        self.ubfd2.configure(settings)
        self.ubfd2.reload()
        for someone in (bob, carol):
            self.assertEqual(someone.connect("tcp", V4, PORT), "connected")
            self.assertEqual(someone.connect("tcp", V6, PORT), REFUSED["v6"])
            self.assertEqual(someone.connect("tcp", V4, OTHER), REFUSED["v4"])
        self.assertGreater(self.ubfd2.status()["reasons"]["excepted"], 1)

    def test_reports_of_several_nodes_are_one(self):
        alice, bob = self.person("alice", self.two), self.person("bob", self.one)
        alice.listen("tcp", "::", PORT)
        bob.connect("tcp", V4, PORT)
        file = case.FOLDER / "report.json"
        file.write_text(self.ubfctl("--json", "report"))
        text = self.ubfctl("report", "--from", str(file), str(file))
        self.assertIn("would deny 2 flows of 1 user, by the reports of 2 nodes", text)


class ObservingSome(TwoNodes):
    """Only some flows are observed."""

    def start_daemons(self):
        self.ubfd1 = self.start_ubfd(self.one)

    def observe(self, **settings):
        self.ubfd2 = self.start_ubfd(self.two, {"policy": settings})
        alice = self.person("alice", self.two)
        for port in (PORT, OTHER):
            alice.listen("tcp", "::", port)
        return self.person("bob", self.one)

    def test_a_port_is_observed_and_others_are_refused(self):
        bob = self.observe(observe_ports=[f"tcp/{PORT}"])
        for address, family in ((V4, "v4"), (V6, "v6")):
            self.assertEqual(bob.connect("tcp", address, PORT), "connected")
            self.assertEqual(bob.connect("tcp", address, OTHER), REFUSED[family])

    def test_a_peer_is_observed_and_others_are_refused(self):
        bob = self.observe(observe_peers=["10.77.0.1"])
        self.assertEqual(bob.connect("tcp", V4, PORT), "connected")
        self.assertEqual(bob.connect("tcp", V6, PORT), REFUSED["v6"])

    def test_an_interface_is_observed_and_others_are_refused(self):
        bob = self.observe(observe_interfaces=["eth*"])
        self.assertEqual(bob.connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.person("bob", self.two).connect("tcp", "127.0.0.1", PORT), REFUSED["v4"])


if __name__ == "__main__":
    case.main()
