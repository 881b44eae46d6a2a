#!/usr/bin/python3
"""ubfd's own life: start, reload, stop, and every mishap at those times."""

import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import PEERS, PROJ, V4, V6, Counted, TwoNodes, refused, wait_until  # noqa: E402
from lab.tree import add_users  # noqa: E402
from lab.ubfd import to_toml  # noqa: E402

PORT = 9001
EX_USAGE, EX_UNAVAILABLE, EX_NOPERM, EX_CONFIG = 64, 69, 77, 78  # sysexits.h
FOREIGN = "add table inet site; add chain inet site c { type filter hook input priority 10; }; " \
          "add rule inet site c counter"


class Start(TwoNodes):
    def start_daemons(self):
        self.file = case.FOLDER / "ubfd.toml"
        self.two.run("nft", FOREIGN)
        self.before = self.ruleset()

    def ruleset(self):
        return self.two.run("nft", "list", "ruleset")

    def settings_with(self, **sections):
        sections.setdefault("peers", {"ranges": PEERS})
        sections["ident"] = {"key_file": str(self.key)} | sections.get("ident", {})
        sections["control"] = {"socket": str(case.FOLDER / "second.sock")}
        return to_toml(sections)

    def assert_refuses_to_start(self, config, status, *words, wrapper=()):
        """ubfd ends with one message that holds these words, installs nothing, and leaves nothing behind."""
        self.file.write_text(config)
        before = self.ruleset()
        process = self.two.start(*wrapper, case.build / "daemon" / "ubfd", "--config", self.file,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=20)
        self.assertEqual((process.returncode, output), (status, ""), errors)
        self.assertEqual(errors.count("\n"), 1, errors)
        for word in words:
            self.assertIn(word, errors)
        self.assertEqual(self.ruleset(), before)
        self.assertFalse((case.FOLDER / "second.sock").exists())

    def test_an_unknown_key_is_named_with_its_place_and_the_nearest(self):
        self.assert_refuses_to_start(self.settings_with() + "[policy]\nsame_usr = true\n", EX_CONFIG,
                                     f"{self.file}:8:1: [policy] has no key 'same_usr'; did you mean 'same_user'?")

    def test_a_file_that_is_not_there_is_named(self):
        self.assert_refuses_to_start("", EX_CONFIG, "/nowhere", "--config",
                                     wrapper=("sh", "-c", 'exec "$0" "$1" /nowhere'))

    def test_a_key_file_that_others_may_read_is_refused(self):
        self.key.chmod(0o640)
        self.assert_refuses_to_start(self.settings_with(), EX_CONFIG, str(self.key), "chmod 0600")

    def test_a_key_file_that_is_missing_is_explained(self):
        self.assert_refuses_to_start(self.settings_with(ident={"key_file": "/run/nothing"}), EX_CONFIG,
                                     "/run/nothing", "ubfctl keygen")

    def test_a_missing_capability_is_named(self):
        for capability in ("net_admin", "net_bind_service"):
            self.assert_refuses_to_start(self.settings_with(), EX_NOPERM, f"CAP_{capability.upper()}",
                                         wrapper=("setpriv", "--bounding-set", f"-{capability}", "--"))

    def test_a_second_ubfd_is_told_of_the_first(self):
        first = self.start_ubfd(self.two)
        self.assert_refuses_to_start(self.settings_with(), EX_UNAVAILABLE, "queue 0", "another ubfd")
        self.assert_refuses_to_start(self.settings_with(queue={"first": 100}), EX_UNAVAILABLE,
                                     "udp 1017", "root(0)'s program ubfd[", "has it; stop it")
        self.assert_alive(first)

    def test_one_that_is_bad_gives_way_to_the_last_good_one_until_it_is_mended(self):
        last_good = case.FOLDER / "last-good.toml"
        self.ubfd2 = self.start_ubfd(self.two, words=["--last-good", str(last_good)])
        wait_until(last_good.exists)  # a moment after it is ready
        self.assertEqual(last_good.read_text(), self.ubfd2.config.read_text())
        self.assertEqual(last_good.stat().st_mode & 0o777, 0o600)
        good = self.ubfd2.config.read_text()
        for bad in (good + "[nonsense]\n", good.replace(str(self.ubfd2.socket), "x" * 200)):
            self.ubfd2.stop()
            self.ubfd2.config.write_text(bad)
            self.ubfd2.start()
            self.ubfd2.wait_for_log("NOT THE CONFIGURATION OF")
            self.assertFalse(self.ubfd2.status()["configuration"]["holds"])
            self.assertEqual(last_good.read_text(), good)
            self.ubfctl("status", status=EX_CONFIG)
            self.assertIn("not reloaded, the old configuration stays", self.ubfctl("reload", status=EX_CONFIG))
        self.ubfd2.config.write_text(good + "# mended\n")
        self.assertEqual(self.ubfctl("reload"), "")
        self.assertTrue(self.ubfd2.status()["configuration"]["holds"])
        self.assertTrue(last_good.read_text().endswith("# mended\n"))
        self.ubfctl("status")

    def ubfctl(self, *words, status=0):
        process = self.ubfd2.ctl(*words, stderr=subprocess.STDOUT)
        self.assertEqual(process.returncode, status, process.stdout)
        return process.stdout

    def test_a_control_socket_with_an_impossible_path_is_refused_and_nothing_stays(self):
        config = self.settings_with().replace("second.sock", "x" * 200)
        self.assert_refuses_to_start(config, EX_CONFIG, "control.socket", "too long")

    def test_words_that_it_does_not_know_are_refused(self):
        self.assert_refuses_to_start("", EX_USAGE, "--nonsense", "--help",
                                     wrapper=("sh", "-c", 'exec "$0" --nonsense'))
        for words in ("start", "--conf /etc/ubf/ubfd.toml"):
            self.assert_refuses_to_start("", EX_USAGE, "--help", wrapper=("sh", "-c", f'exec "$0" {words}'))

    def test_help_lists_every_option_of_the_configuration(self):
        text = self.two.run(case.build / "daemon" / "ubfd", "--help")
        for word in ("--config", "[queue]", "deadline_ms = 900", "exempt_connectors", "without_daemon"):
            self.assertIn(word, text)

    def test_stopping_leaves_the_ruleset_as_it_was(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            ubfd = self.start_ubfd(self.two)
            self.assertIn("table inet ubf", self.ruleset())
            self.assertIn("counter packets", self.two.run("nft", "list", "table", "inet", "site"))
            ubfd.process.send_signal(number)
            self.assertEqual(ubfd.process.wait(timeout=10), 0)
            self.assertEqual(self.without_counts(self.ruleset()), self.without_counts(self.before))

    @staticmethod
    def without_counts(text):
        return [line for line in text.splitlines() if "counter" not in line]


class Privileges(TwoNodes):
    def capabilities(self):
        """The capabilities of each thread, by its name."""
        result = {}
        for task in pathlib.Path(f"/proc/{self.ubfd2.process.pid}/task").iterdir():
            status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines() if ":" in line)
            caps = int(status["CapPrm"], 16) | int(status["CapEff"], 16)
            result[status["Name"].strip()] = {number for number in range(64) if caps >> number & 1}
        return result

    def test_each_thread_has_the_capabilities_that_its_work_takes(self):
        net_admin, dac_read_search, sys_ptrace, perfmon, bpf = 12, 2, 19, 38, 39  # linux/capability.h
        capabilities = self.capabilities()
        self.assertTrue(capabilities.pop("ubfd").isdisjoint({perfmon, bpf}))
        self.assertEqual(capabilities, {
            "gate": {net_admin}, "udp": {net_admin}, "sent": {net_admin}, "answers": {net_admin}, "owners": {dac_read_search, sys_ptrace},
            "listeners": {net_admin}, "rdma": set(), "ident": set(),
            "users": set(), "log": set()})


class Death(TwoNodes):
    """ubfd dies without cleaning up."""

    def setUp(self):
        super().setUp()
        server = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            server.listen(protocol, "::", PORT)
        self.alice = self.person("alice", self.one)

    def test_established_flows_go_on_and_new_ones_are_refused_at_once(self):
        seen = [self.alice.connect(protocol, address, PORT) for protocol in ("tcp", "udp") for address in (V4, V6)]
        self.assertEqual(seen, ["connected"] * 4)
        self.ubfd2.kill()
        self.ubfd1.kill()
        for old in seen:
            self.assertEqual(self.alice.say(old.handle, "still there?"), "still there?")
        for protocol in ("tcp", "udp"):
            # Over a veth the refusal comes before connect() releases its socket, so IPv6 learns of it from the
            # retransmitted SYN.
            self.assertEqual(self.alice.connect(protocol, V4, PORT), refused(protocol, "v4"))
            self.assertEqual(self.alice.connect(protocol, V6, PORT), refused(protocol, "v6"))
        self.ubfd1.start()
        self.ubfd2.start()
        for protocol in ("tcp", "udp"):
            self.assertEqual(self.alice.connect(protocol, V4, PORT), "connected")
        for old in seen:
            self.assertEqual(self.alice.say(old.handle, "and now?"), "and now?")

    def test_a_site_may_prefer_to_let_everybody_in_meanwhile(self):
        self.ubfd2.configure({**self.ubfd2.settings, "ruleset": {"without_daemon": "allow"}})
        self.ubfd2.reload()
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.ubfd2.kill()
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "connected")

    def test_a_site_may_keep_the_ruleset_when_it_stops_ubfd(self):
        self.ubfd2.configure({**self.ubfd2.settings, "ruleset": {"on_stop": "keep"}})
        self.ubfd2.reload()
        self.assertEqual(self.ubfd2.stop(), 0)
        self.assertEqual(self.alice.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.ubfd2.start()
        self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")


class Table(TwoNodes):
    """Another program changes the ruleset."""

    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.alice, self.bob = (self.person(user, self.one) for user in ("alice", "bob"))

    def handles(self, chain):
        """The handles of the rules of a chain, in order."""
        text = self.two.run("nft", "-a", "list", "chain", "inet", "ubf", chain)
        return [line.rpartition(" ")[2] for line in text.splitlines() if "comment" in line]

    def test_what_is_flushed_or_changed_is_put_back_within_a_second(self):
        for number, change in enumerate((
                "flush ruleset", "delete table inet ubf", "flush chain inet ubf verdict",
                "flush set inet ubf ports", "add rule inet ubf scope accept", "insert rule inet ubf scope accept",
                "delete rule inet ubf gate handle LAST", "add element inet ubf exempt_tcp { 9001 }"), 1):
            with self.subTest(change):
                self.two.run("nft", change.replace("LAST", self.handles("gate")[-1]))
                wait_until(lambda n=number: self.ubfd2.status()["ruleset"]["repairs"] == n, 2, "the repair")
                self.assertEqual(self.ubfd2.status()["ruleset"]["state"], "installed")
                self.assertEqual(self.bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
                self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")
        self.ubfd2.wait_for_log("putting it back")

    def test_a_fight_over_the_table_ends(self):
        for _ in range(14):
            self.two.run("nft", "flush ruleset")
            time.sleep(0.6)
        status = self.ubfd2.status()["ruleset"]
        self.assertEqual((status["state"], status["repairs"]), ("failed", 10))
        self.ubfd2.wait_for_log("find what flushes it")

    def test_a_change_of_another_table_is_nobodys_business(self):
        self.two.run("nft", FOREIGN)
        self.two.run("nft", "delete table inet site")
        time.sleep(1)
        self.assertEqual(self.ubfd2.status()["ruleset"]["repairs"], 0)

    def test_somebody_elses_mark_is_not_taken_for_a_verdict(self):
        self.two.run("nft", "add table inet site; add chain inet site c { type filter hook prerouting priority 0; }; "
                            "add rule inet site c meta mark set 0x002000ff")
        self.assertEqual(self.bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.ubfd2.kill()
        self.assertEqual(self.bob.connect("tcp", V4, PORT), "EHOSTUNREACH")

    def test_somebody_elses_bits_of_the_mark_are_left_alone(self):
        self.two.run("nft", "add table inet site; add chain inet site c { type filter hook prerouting priority 0; }; "
                            "add rule inet site c meta mark set 0x800000ff; "
                            "add chain inet site last { type filter hook input priority 100; }; "
                            "add rule inet site last tcp dport 9001 tcp flags syn meta mark != 0x802000ff counter; "
                            "add rule inet site last tcp dport 9001 tcp flags syn meta mark 0x802000ff counter")
        self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")
        other, whole = (line.split()[line.split().index("packets") + 1] for line in
                        self.two.run("nft", "list", "chain", "inet", "site", "last").splitlines() if "packets" in line)
        self.assertEqual((other, whole), ("0", "1"))

    def test_an_imported_ruleset_is_checked_and_left_alone(self):
        """The ruleset here is left from a ubfd that kept it; tests/vm has one that nft imported."""
        managed = dict(self.ubfd2.settings)
        self.ubfd2.configure({**managed, "ruleset": {"on_stop": "keep"}})
        self.ubfd2.reload()
        self.ubfd2.stop()
        self.ubfd2.configure({**managed, "ruleset": {"manage": False, "when_gone": "report"}})
        self.ubfd2.start()
        self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")
        self.two.run("nft", "flush chain inet ubf verdict")
        self.ubfd2.wait_for_log("the imported ruleset lacks rule ubf:verdict:known of chain verdict")
        status = self.ubfd2.status()["ruleset"]
        self.assertEqual((status["state"], status["managed"]), ("broken", False))
        self.assertIn("rule ubf:verdict:no_verdict of chain verdict", status["missing"])
        self.assertEqual(self.ubfd2.stop(), 0)
        self.assertIn("chain gate", self.two.run("nft", "list", "table", "inet", "ubf"))

    def test_without_the_ruleset_that_it_only_checks_it_does_not_start(self):
        self.ubfd2.stop()
        self.ubfd2.configure({**self.ubfd2.settings, "ruleset": {"manage": False, "when_gone": "report"}})
        self.good_ends += (EX_UNAVAILABLE,)
        with self.assertRaisesRegex(case.Trouble, "ended with 69.*lacks: table inet ubf; import what 'ubfctl rule"):
            self.ubfd2.start()


class Reload(TwoNodes):
    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.alice, self.bob = (self.person(user, self.one) for user in ("alice", "bob"))

    def try_reload(self, text):
        """Returns the log line about the reload."""
        self.ubfd2.config.write_text(text)
        seen = len(self.ubfd2.log())
        self.ubfd2.process.send_signal(signal.SIGHUP)
        return wait_until(lambda: next((line for line in self.ubfd2.log()[seen:].splitlines()
                                        if "reloaded" in line), None))

    def test_a_new_policy_holds_for_new_flows(self):
        self.assertEqual(self.bob.connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.ubfd2.configure({**self.ubfd2.settings, "policy": {"exempt_connectors": ["bob"]}})
        self.ubfd2.reload()
        self.assertEqual(self.bob.connect("tcp", V4, PORT), "connected")

    def test_a_bad_configuration_leaves_the_old_one_running(self):
        good = self.ubfd2.config.read_text()
        for bad, words in ((good + "[policy]\noutside = 3\n", f":{good.count(chr(10)) + 2}:11: policy.outside"),
                           (good + '[policy]\nexempt_listeners = ["nosuchuser"]\n', "check the name, or write the uid"),
                           (good.replace(str(self.key), "/run/nothing"), "/run/nothing: no such file"),
                           (good + "[queue]\ncount = 3\n", "changes of queue.count take effect at a restart only"),
                           ("[peers", ":1:")):
            line = self.try_reload(bad)
            self.assertIn("not reloaded, the old configuration stays", line)
            self.assertIn(words, line)
            self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")
            self.assertEqual(self.bob.connect("tcp", V4, PORT), "EHOSTUNREACH")

    def test_packets_that_wait_over_a_reload_get_their_verdict(self):
        for _ in range(10):
            in_time, seen, counted = self.reload_under_a_waiting_packet()
            if in_time:
                break
        self.assertTrue(in_time, "no reload in half the time that a packet waits for an answer")
        self.assertEqual(seen, "connected")
        self.assertEqual((counted["packets_gone"], counted.reasons()), (0, {"same-user": 1}))

    def reload_under_a_waiting_packet(self):
        """Returns whether the answer could come before the deadline, the outcome, and what was counted."""
        self.ubfd1.process.send_signal(signal.SIGSTOP)
        with Counted(self.ubfd2) as counted:
            begun = time.monotonic()
            handle = self.alice.do(person.send_to, "tcp", V4, PORT)
            wait_until(lambda: any(peer["questions"] > peer["answers"] for peer in self.ubfd2.status()["peers"]))
            self.ubfd2.configure({**self.ubfd2.settings, "policy": {"exempt_connectors": ["carol"]}})
            self.ubfd2.reload()
            self.ubfd1.process.send_signal(signal.SIGCONT)
            in_time = time.monotonic() - begun < 0.45
            seen = self.alice.do(person.outcome, handle, timeout=10)
        return in_time, seen, counted


class Directory(TwoNodes):
    """When the node starts, the user database doesn't know some users yet."""

    settings = {"policy": {"exempt_connectors": ["later"], "ignored_groups": ["latergroup"]}}

    def test_who_is_not_known_yet_is_nobody_until_then(self):
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.wait_for_log("policy.exempt_connectors: the user database knows no user 'later'")
        self.person("alice", self.two, group=PROJ).listen("tcp", "::", PORT)
        # A group that may be the ignored one allows nothing.
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        add_users({**case.USERS, "later": 63006}, {**case.GROUPS, "latergroup": (63020, [])})
        later, bob = self.person("later", self.one), self.person("bob", self.one)
        self.assertEqual(later.connect("tcp", V4, PORT), "EHOSTUNREACH")
        wait_until(lambda: later.connect("tcp", V4, PORT) == "connected", 60, "another question to the user database")
        self.assertEqual(bob.connect("tcp", V4, PORT), "connected")
        self.ubfd2.wait_for_log("the user database knows 2 more names")


if __name__ == "__main__":
    case.main()
