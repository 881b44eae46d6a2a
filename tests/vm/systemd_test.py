#!/usr/bin/python3
"""ubfd as it is installed: under systemd, on Debian's kernel. Run this as a service in a guest that was booted with ubf
installed and enabled. The guest is node2."""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, cgroups, person  # noqa: E402
from lab.case import ADDRESSES, V4, Case, wait_until  # noqa: E402
from lab.node import Home, Node, join  # noqa: E402
from confined import AppArmor, Confined, Credential, Rdma, Unhindered  # noqa: E402,F401
from file_systems import FileSystem, Import, Stateless  # noqa: E402,F401
from installed import CONFIG, EX_CONFIG, EX_UNAVAILABLE, INSTALLED, LAST_GOOD, PORT, ROOT, Systemd  # noqa: E402
from installed import assert_logged, is_ready, journal, pid, property_of, run, table  # noqa: E402


class Boot(Systemd):
    def test_the_ruleset_was_there_before_the_network(self):
        installed = int(property_of("ubf-ruleset", "ExecMainExitTimestampMonotonic"))
        network = int(property_of("network-pre.target", "ActiveEnterTimestampMonotonic"))
        ready = int(property_of("ubfd", "ActiveEnterTimestampMonotonic"))
        self.assertLess(0, installed)
        self.assertLess(installed, network)
        self.assertLess(network, ready)

    def test_it_runs_as_its_own_user_with_the_capabilities_that_the_unit_gives(self):
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid()}/status").read_text().splitlines())
        self.assertEqual(status["Uid"].split()[0], run("id", "-u", "ubf").strip())
        bounds = sum(1 << number for number in (2, 10, 12, 19, 38, 39))  # DAC_READ_SEARCH ... BPF
        self.assertEqual(int(status["CapBnd"], 16), bounds)
        for task in pathlib.Path(f"/proc/{pid()}/task").iterdir():  # ubfd has PERFMON and BPF at its start only
            for line in (task / "status").read_text().splitlines():
                if line.startswith(("CapPrm", "CapInh", "CapAmb")):
                    self.assertEqual(int(line.split()[1], 16) >> 38, 0, line)
        self.assertEqual(json.loads(run("ubfctl", "--json", "status"))["owner_records"], "in use")
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        self.assertGreater(int(status["VmLck"].split()[0]), 1000)

    def test_it_says_how_it_is(self):
        self.assert_judges()
        wait_until(lambda: "ruleset installed; allowed" in property_of("ubfd", "StatusText"), 10)

    def test_their_exposure_is_what_the_documentation_says(self):
        text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
        for unit, most in (("ubfd", 2.4), ("ubf-ruleset", 1.4), ("ubf-rdmad", 1.6), ("ubf-portal", 2.0), ("ubf-connect", 2.0), ("ubf-metrics", 0.9)):
            with self.subTest(unit):
                last = run("systemd-analyze", "security", "--no-pager", unit).splitlines()[-1]
                figure = last.split(":")[1].split()[0]
                self.assertLessEqual(float(figure), most)
                self.assertIn(f"`systemd-analyze security {unit}` says: exposure level {figure}", text)

    def test_the_unit_of_the_ruleset_shows_that_it_is_done(self):
        self.assertEqual((property_of("ubf-ruleset", "ActiveState"), property_of("ubf-ruleset", "SubState")),
                         ("active", "exited"))

    def test_a_denial_stands_in_the_journal_with_its_fields(self):
        def told_by_name():  # in a slow guest, the first line may not wait for the user database
            self.assertEqual(self.bob.connect("tcp", V4, PORT, timeout=10), "EHOSTUNREACH")
            line = run("journalctl", "-o", "json", "-n", "1", "-t", "ubfd", "UBF_REASON=different-user")
            return "?" not in line and line

        entry = json.loads(wait_until(told_by_name, 30))
        self.assertEqual((entry["UBF_CONNECTOR_USER"], entry["UBF_LISTENER_USER"]), ("bob(63002)", "alice(63001)"))
        self.assertEqual(entry["UBF_DESTINATION"], f"{V4}:{PORT}")
        self.assertEqual(entry["_SYSTEMD_UNIT"], "ubfd.service")
        as_bob = ("setpriv", "--reuid=63002", "--regid=63002", "--clear-groups")
        self.assertIn("wanted to reach alice's server", run(*as_bob, "ubfctl", "why", "--last", "1"))
        others = subprocess.run([*as_bob, "ubfctl", "status"], capture_output=True, text=True, check=False)
        self.assertEqual((others.returncode, others.stdout), (EX_UNAVAILABLE, ""))
        self.assertIn("only root may ask ubfd", others.stderr)

    def test_metrics_are_written_for_node_exporter(self):
        folder = pathlib.Path("/var/lib/prometheus/node-exporter")
        folder.mkdir(parents=True)
        self.addCleanup(lambda: shutil.rmtree("/var/lib/prometheus"))
        run("systemctl", "start", "ubf-metrics")
        self.assertIn("\nubf_ruleset_installed 1\n", (folder / "ubf.prom").read_text())
        self.assertEqual((folder / "ubf.prom").stat().st_mode & 0o777, 0o644)

    def test_metrics_are_served_on_this_node_alone(self):
        self.assertEqual(subprocess.run(["systemctl", "is-enabled", "ubf-metrics.socket"], capture_output=True, text=True,
                                        check=False).stdout.strip(), "disabled")
        run("systemctl", "start", "ubf-metrics.socket")
        self.addCleanup(run, "systemctl", "stop", "ubf-metrics.socket")
        with urllib.request.urlopen("http://127.0.0.1:1018/metrics", timeout=30) as answer:
            self.assertIn("\nubf_ruleset_installed 1\n", answer.read().decode())
        listeners = [line.split()[3] for line in run("ss", "-ltnH").splitlines()]
        self.assertEqual([place for place in listeners if place.endswith(":1018")], ["127.0.0.1:1018"])


class Doctor(Systemd):
    """`ubfctl doctor` on a node that is installed: what a namespace of the lab does not have."""

    CONF = pathlib.Path("/tmp/slurm.conf")

    def off(self):
        """The checks that are off, with what to write for each."""
        process = subprocess.run(["ubfctl", "--json", "doctor", f"--slurm-conf={self.CONF}"], capture_output=True, text=True,
                                 check=False)
        return {row["id"]: row["write"] for row in json.loads(process.stdout)["checks"] if row["state"] == "off"}

    @contextlib.contextmanager
    def sysctl(self, name, value):
        usual = run("sysctl", "-n", name).strip()
        run("sysctl", "-w", f"{name}={value}")
        try:
            yield
        finally:
            run("sysctl", "-w", f"{name}={usual}")

    @contextlib.contextmanager
    def without(self, unit):
        run("systemctl", "disable", unit)
        try:
            yield
        finally:
            run("systemctl", "enable", unit)

    @contextlib.contextmanager
    def stopped(self):
        run("systemctl", "stop", "ubfd")
        try:
            yield
        finally:
            run("systemctl", "start", "ubfd")

    def test_each_fault_turns_its_own_line(self):
        self.CONF.write_text("SlurmctldHost=node1\nNodeName=n[001-900]\n")
        with self.sysctl("net.ipv4.neigh.default.gc_thresh3", 8192), self.sysctl("net.ipv6.neigh.default.gc_thresh3", 8192):
            usual = self.off()
            # The guest is no node of a cluster that someone set up: these layers are off, and nothing of ours.
            self.assertFalse({name for name in usual if name.startswith(("ubf.", "peers."))} - {"ubf.enforce"}, usual)
            self.assertFalse({"kernel.neighbours", "kernel.conntrack", "net.ident_port"} & usual.keys(), usual)
            for names, fault in (({"ubf.units"}, self.without("ubfd.service")),
                                 ({"ubf.units"}, self.without("ubf-ruleset.service")),
                                 ({"kernel.neighbours"}, self.sysctl("net.ipv6.neigh.default.gc_thresh3", 1024)),
                                 ({"kernel.conntrack"}, self.sysctl("net.netfilter.nf_conntrack_max", 1)),
                                 ({"ubf.daemon", "ubf.ruleset"}, self.stopped())):
                if "kernel.conntrack" in names:
                    # Two flows that are tracked, where one will be let in: the peers' own must be among them.
                    self.alice.connect("tcp", V4, PORT)
                with self.subTest(names), fault:
                    off = self.off()
                    self.assertEqual(off.keys() - usual.keys(), names, off)
                    self.assertTrue(all(off[name] for name in names))
            wait_until(is_ready, 30, "ubfd to be ready")
            wait_until(lambda: self.off().keys() == usual.keys(), 10, "all faults to be mended")


class Job(Systemd):
    def test_a_job_is_found_by_its_cgroup(self):
        """This works in the unit's sandbox. The listener's maker is gone, and the holder is in no job."""
        good = CONFIG.read_text(encoding="utf-8")
        self.addCleanup(lambda: (CONFIG.write_text(good), run("systemctl", "restart", "ubfd")))
        CONFIG.write_text(good + '[labels]\nslurm = true\n[policy.labels."slurm:physics"]\nallow = ["alice", "bob"]\n')
        run("systemctl", "restart", "ubfd")
        wait_until(is_ready, 30, "ubfd to be ready")
        groups = cgroups.JobCgroups()
        self.addCleanup(groups.close)
        maker, keeper, bob = (self.person(user, self.two) for user in ("alice", "alice", "bob"))
        for job, user, somebody in ((1001, "alice", maker), (1002, "bob", bob)):
            run("ubfctl", "job", "begin", "--job", job, "--uid", case.USERS[user], "--label", "physics")
            groups.put(somebody.pid, case.USERS[user], job)
        held = maker.hand_over(maker.listen("tcp", "0.0.0.0", PORT + 1, answer=False), keeper)
        self.dismiss(maker)
        keeper.do(person.serve, held)
        self.assertEqual(bob.connect("tcp", "127.0.0.1", PORT + 1), "connected", run("ubfctl", "status"))


class Life(Systemd):
    def test_no_connection_is_lost_or_refused_over_restarts(self):
        def act():
            for _ in range(3):
                time.sleep(1)
                run("systemctl", "restart", "ubfd")

        before = pid()
        self.assertEqual(self.connect_meanwhile(act, 10), {"connected": 2000}, journal())
        self.assertNotEqual(pid(), before)

    def test_no_connection_is_lost_or_refused_when_it_is_killed(self):
        def act():
            for _ in range(3):
                time.sleep(1)
                wait_until(is_ready, 10)
                run("kill", "-9", pid())

        self.assertEqual(self.connect_meanwhile(act, 10), {"connected": 2000}, journal())
        wait_until(is_ready, 10)

    def test_no_connection_is_lost_or_refused_over_an_upgrade(self):
        def act():
            time.sleep(1)
            shutil.copy(case.build / "daemon" / "ubfd", f"{INSTALLED}.new")
            pathlib.Path(f"{INSTALLED}.new").rename(INSTALLED)
            run("systemctl", "restart", "ubfd")

        inode = INSTALLED.stat().st_ino
        self.assertEqual(self.connect_meanwhile(act, 6), {"connected": 1200})
        self.assertNotEqual(pathlib.Path(f"/proc/{pid()}/exe").stat().st_ino, inode)

    def test_a_reload_reads_the_configuration_and_a_bad_one_changes_nothing(self):
        good = CONFIG.read_text()
        self.addCleanup(lambda: (CONFIG.write_text(good), run("systemctl", "reload", "ubfd")))
        before = pid()
        CONFIG.write_text(good + '[policy]\nexempt_connectors = ["bob"]\n')
        run("systemctl", "reload", "ubfd")
        wait_until(lambda: self.bob.connect("tcp", V4, PORT, timeout=10) == "connected", 10)
        CONFIG.write_text("nonsense\n")
        run("systemctl", "reload", "ubfd", status=1)
        assert_logged("not reloaded, the old configuration stays", "-u", "ubfd")
        self.assertIn("DOES NOT HOLD", run("ubfctl", "status", status=EX_CONFIG))
        self.assertEqual(self.bob.connect("tcp", V4, PORT, timeout=10), "connected")
        self.assertEqual(pid(), before)

    def test_stopping_it_removes_the_ruleset_and_starting_it_brings_it_back(self):
        self.assertIn("chain gate", table())
        run("systemctl", "stop", "ubfd")
        self.assertEqual(table(), "")
        self.assertEqual(self.bob.connect("tcp", V4, PORT, timeout=10), "connected")
        run("systemctl", "start", "ubfd")
        self.assert_judges()

    def test_with_a_bad_configuration_it_goes_on_with_the_last_good_one_and_says_so(self):
        good = CONFIG.read_text()
        self.addCleanup(lambda: (CONFIG.write_text(good), run("systemctl", "restart", "ubfd")))
        CONFIG.write_text(good + "[nonsense]\n")
        run("systemctl", "restart", "ubfd")
        self.assert_judges()
        self.assertIn("DOES NOT HOLD", run("ubfctl", "status", status=EX_CONFIG))
        assert_logged("there is no section [nonsense]", "-t", "ubfd", "-p", "err")
        CONFIG.write_text(good)
        run("systemctl", "reload", "ubfd")
        run("ubfctl", "status")
        self.assert_judges()

    def test_what_it_lacks_it_does_not_ask_for_ten_times_a_second(self):
        run("systemctl", "stop", "ubfd")
        self.addCleanup(lambda: run("systemctl", "restart", "ubfd"))
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(taken.close)
        taken.bind(("0.0.0.0", 1017))
        run("systemctl", "start", "ubfd", status=1)
        assert_logged(f"status={EX_UNAVAILABLE}", "-u", "ubfd", "-n", "20")
        time.sleep(6)
        self.assertLess(int(property_of("ubfd", "NRestarts")), 4)
        taken.close()
        wait_until(is_ready, 20)

    def test_with_a_bad_configuration_and_no_other_it_stays_down_and_what_is_new_stays_refused(self):
        good = CONFIG.read_text()
        self.addCleanup(lambda: (CONFIG.write_text(good), run("systemctl", "restart", "ubfd")))
        LAST_GOOD.unlink()
        CONFIG.write_text(good + "[nonsense]\n")
        run("systemctl", "restart", "ubfd", status=1)
        wait_until(lambda: property_of("ubfd", "ActiveState") == "failed", 10)
        self.assertEqual(property_of("ubfd", "ExecMainStatus"), "78")
        self.assertIn("chain gate", table())
        self.assertEqual(self.alice.connect("tcp", V4, PORT, timeout=10), "EHOSTUNREACH")

    def test_one_that_hangs_is_killed_by_the_watchdog_and_replaced(self):
        before = pid()
        run("kill", "-STOP", before)
        handle = self.alice.do(person.send_to, "tcp", V4, PORT)
        wait_until(lambda: pid() not in (0, before) and is_ready(), 40, "another ubfd")
        self.assertEqual(self.alice.do(person.outcome, handle, timeout=30), "connected")
        self.assert_judges()

    def test_the_distributions_own_firewall_service_may_flush_it(self):
        run("systemctl", "restart", "nftables")
        wait_until(lambda: "ubf:verdict:no_verdict" in table(), 5, "the ruleset")
        self.assert_judges()


class BadStart(Case):
    """The guest was booted with a configuration that ubfd can't read."""

    def test_the_network_came_up_behind_a_ruleset_that_refuses(self):
        self.assertEqual(property_of("ubfd", "ActiveState"), "failed")
        self.assertEqual(property_of("ubf-ruleset", "ExecMainStatus"), "78")
        assert_logged("there is no section [pears]; did you mean [peers]?", "-u", "ubfd", "-u", "ubf-ruleset")
        self.assertIn("ubf:verdict:no_verdict", table())
        self.assertLess(int(property_of("ubf-ruleset", "ExecMainExitTimestampMonotonic")),
                        int(property_of("network-pre.target", "ActiveEnterTimestampMonotonic")))
        case.add_users(case.USERS, case.GROUPS, private=False)
        two, one = Home("node2"), Node("node1")
        join(one, two, ADDRESSES)
        self._people = []
        self.person("alice", two).listen("tcp", "0.0.0.0", PORT)
        self.person("root", two).listen("tcp", "0.0.0.0", 22)
        self.assertEqual(self.person("alice", one).connect("tcp", V4, PORT), "EHOSTUNREACH")
        # Nobody is locked out: ports below the users' ports, such as ssh's, are not watched.
        self.assertEqual(self.person("alice", one).connect("tcp", V4, 22), "connected")


if __name__ == "__main__":
    case.main(private=False)
