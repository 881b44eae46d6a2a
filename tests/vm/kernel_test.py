#!/usr/bin/python3
"""A guest with Debian's own kernel: it has nft's queue expression and rulesets that nft imports, which a test machine's
kernel may lack. Other tests run with modules missing."""

import pathlib
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent), str(pathlib.Path(__file__).resolve().parents[1] / "netns")]
from change_test import Changed  # noqa: E402,F401
from lab import case, load, person  # noqa: E402
from lab.case import V4, TwoNodes, wait_until  # noqa: E402
from sockets import Sockets  # noqa: E402,F401

PORT = 9001
EX_UNAVAILABLE = 69  # sysexits.h


class Kernel(TwoNodes):
    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT, backlog=1024)
        self.alice, self.bob = (self.person(user, self.one) for user in ("alice", "bob"))

    def assert_judges(self):
        self.assertEqual(self.alice.connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.bob.connect("tcp", V4, PORT), "EHOSTUNREACH")

    def print_ruleset(self):
        file = case.FOLDER / "ubf.nft"
        file.write_text(self.two.run(case.build / "daemon" / "ubfctl", "ruleset", self.ubfd2.config))
        return file

    def import_ruleset(self):
        self.two.run("nft", "-f", self.print_ruleset())

    def listing(self):
        return self.two.run("nft", "--stateless", "list", "table", "inet", "ubf")


class Native(Kernel):
    settings = {"queue": {"count": 2}}

    def test_queues_by_nfts_own_expression_and_spreads_over_cpus(self):
        self.assertEqual(self.ubfd2.status()["queue_rule"], "nft queue")
        self.assertIn("queue flags bypass,fanout to 0-1", self.listing())
        self.assert_judges()
        seen = self.alice.do(load.connect_steadily, V4, PORT, 100, 3)
        self.assertEqual(seen, {"connected": 300})
        # The two CPUs are not pinned, so both queues see packets.
        self.assertTrue(all(queue["packets"] > 0 for queue in self.ubfd2.status()["queues"]))


class Imported(Kernel):
    def test_what_ubfctl_prints_is_what_ubfd_installs(self):
        installed = self.listing()
        self.ubfd2.stop()
        self.import_ruleset()
        self.assertEqual(self.listing(), installed)

    def test_an_imported_ruleset_works_and_is_left_alone(self):
        self.ubfd2.stop()
        self.import_ruleset()
        self.assertEqual(self.alice.connect("tcp", V4, PORT), "EHOSTUNREACH")  # no ubfd is there to allow it
        self.ubfd2.configure({**self.ubfd2.settings, "ruleset": {"manage": False}})
        self.ubfd2.start()
        self.assert_judges()
        self.ubfd2.stop()
        self.assertIn("chain verdict", self.listing())

    def test_an_import_loses_no_packet_that_waits(self):
        def waits():
            return any(queue["waiting"] for queue in self.ubfd2.status()["queues"])

        self.assert_judges()  # after this, node1 has answered
        self.ubfd1.kill()
        file = self.print_ruleset()
        handle = self.alice.do(person.send_to, "tcp", V4, PORT)
        for _ in range(4):  # the SYN waits for less than a second, and is retransmitted
            wait_until(waits, 20)
            self.two.run("nft", "-f", file)
            if waits():
                break
        else:
            self.fail("no packet waited for as long as an import takes")
        self.ubfd1.start()
        self.assertEqual(self.alice.do(person.outcome, handle, timeout=20), "connected")
        self.assertEqual(self.ubfd2.status()["packets_gone"], 0)


class Unlucky(Kernel):
    """Changes that only a whole kernel allows, not a network namespace."""

    def test_a_clock_that_steps_is_nobodys_business(self):
        for step in ("+2 hours", "-5 hours", "+3 hours"):
            self.two.run("date", "-s", step)
            self.assert_judges()

    def test_a_connection_table_that_is_full_refuses_and_recovers(self):
        limit = pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_max")
        before = limit.read_text()
        limit.write_text("1\n")
        try:
            self.assertEqual(self.alice.connect("tcp", V4, PORT, timeout=0.5), "timeout")
            self.assert_alive(self.ubfd1, self.ubfd2)
        finally:
            limit.write_text(before)
        self.assert_judges()


class Ways(Kernel):
    """Prints which of its ways ubfd has on this kernel, for docs/kernels.md."""

    recognise = True

    def test_every_way_is_there_or_says_why_not(self):
        self.assert_judges()
        status = self.ubfd2.status()
        ways = {"queue_rule": status["queue_rule"], "owner_records": status["owner_records"],
                "recognition": status["recognition"]["state"], "udp_receivers": status["udp_receivers"],
                "udp_senders": status["udp_senders"]["state"],
                "table_owned": status["ruleset"]["owned"], "searched": status["owner_methods"],
                "warnings": status["warnings"]}
        for way, state in ways.items():
            print(f"{way}: {state}", flush=True)
            self.assertNotIn(state, ("", None))


class Missing(TwoNodes):
    """Modules are missing, and stay so for the rest of the guest's life: run this alone."""

    def start_daemons(self):
        pass

    def test_a_feature_that_the_kernel_lacks_is_named(self):
        for module in ("nf_tables", "nft_ct", "nft_reject_inet", "nft_fib_inet", "nfnetlink_queue"):
            subprocess.run(["modprobe", module], check=True)
        for module in ("nft_queue", "xt_NFQUEUE", "nft_compat"):
            subprocess.run(["modprobe", "-r", module], check=False, capture_output=True)
        pathlib.Path("/proc/sys/kernel/modprobe").write_text("/bin/false\n")
        config = case.FOLDER / "ubfd.toml"
        config.write_text(f'[ident]\nkey_file = "{self.key}"\n')
        process = self.two.start(case.build / "daemon" / "ubfd", "--config", config, stderr=subprocess.PIPE)
        errors = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, EX_UNAVAILABLE, errors)
        self.assertEqual(errors.count("\n"), 1, errors)
        self.assertIn("modprobe", errors)
        self.assertIn("nft_queue", errors)
        self.assertEqual(self.two.run("nft", "list", "tables"), "")


if __name__ == "__main__":
    case.main()
