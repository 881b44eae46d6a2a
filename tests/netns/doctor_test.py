#!/usr/bin/python3
"""`ubfctl doctor` on a node of a real Slurm that is set up as docs/slurm.md says: nothing is off. Then each fault turns
its own line, and no other."""

import contextlib
import json
import os
import pathlib
import re
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, ident, person  # noqa: E402
from lab.case import PEERS, V4, wait_until  # noqa: E402
from lab.tree import FOLDER, add_hosts, mount, remount_proc, replace_file  # noqa: E402
from lab.ubfd import to_toml  # noqa: E402
from slurm_test import WithSlurm  # noqa: E402

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "slurm.md").read_text(encoding="utf-8")
# The page's slurm.conf. The hooks of the lab call the same programs, at another place.
MORE = {key: value for key, value in re.findall(r"^    (\w+)=(.*)$", PAGE.split("\n## ")[2].split("job_container.conf")[0],
                                                flags=re.M) if key not in ("Prolog", "Epilog")}
FILES = {
    "/etc/fstab": ["proc /proc proc nosuid,nodev,noexec,hidepid=invisible 0 0"],
    "/etc/pam.d/sshd": ["@include common-auth", "account required pam_nologin.so", "account required pam_unix.so",
                        "account required pam_slurm_adopt.so", "session required pam_limits.so"],
    "/etc/ssh/sshd_config": ["UsePAM yes"],
    "/proc/sys/user/max_user_namespaces": ["0"],
}
# A machine of the lab has no systemd and no SELinux, Debian's Slurm is of 22.05, and a network namespace is not the
# first one.
NOT_HERE = {"ubf.units", "ubf.selinux", "net.firewalld", "kernel.neighbours", "rdma.devices", "slurm.rl_enable",
            "slurm.tls"}
# Faults of slurm.conf: check -> (text, what stands there instead).
SLURM = {
    "slurm.config": ("SlurmUser=root", "SlurmUser=root\nInclude missing.conf"),
    "slurm.contain": ("PrologFlags=Alloc,Contain", "PrologFlags=Alloc"),
    "slurm.mcs": ("MCSPlugin=mcs/group", "MCSPlugin=mcs/none"),
    "slurm.privatedata": ("PrivateData=accounts,events,jobs,", "PrivateData=accounts,events,"),
    "slurm.null_hash": ("=block_null_hash,", "="),
    "slurm.inaddr_any": (",NoInAddrAny,", ","),
    "slurm.srunports": ("SrunPortRange=61001-61100", "SrunPortRange=50000-50100"),
    "slurm.prolog": ("Prolog=", "Prolog=/nonexistent"),
    "slurm.epilog": ("Epilog=", "#Epilog="),
    "tmp.private": ("JobContainerType=job_container/tmpfs", "JobContainerType=job_container/none"),
}
# Faults of ubfd.toml: check -> settings.
CONFIG = {
    "ubf.enforce": {"policy": {"mode": "observe"}},
    "ubf.fail_closed": {"ruleset": {"without_daemon": "allow"}},
    "slurm.labels": {"labels": {"slurm": False}},
    "peers.ranges": {"peers": {"ranges": PEERS[:1]}},
    "net.listeners_outside_scope": {"scope": {"interfaces": ["lo"]}},
}
# Faults of other programs' rules: check -> nft's commands.
RULES = {
    "net.chains": ["add chain inet other c { type filter hook input priority 87; }"],
    "net.notrack": ["add chain inet other c { type filter hook prerouting priority -310; }",
                    "add rule inet other c udp dport 9000 notrack"],
    "net.input": ["add chain inet other c { type filter hook input priority 0; }",
                  "add rule inet other c tcp dport 9 drop"],
    "net.marks": ["add chain inet other c { type filter hook output priority 0; }",
                  "add rule inet other c tcp dport 9 meta mark set 1"],
    "net.nat": ["add chain inet other c { type nat hook prerouting priority -100; }",
                "add rule inet other c tcp dport 80 redirect to :8080"],
}
# Faults of files: check -> file, lines.
OTHER_FILES = {
    "proc.hidepid": ("/etc/fstab", ["proc /proc proc hidpid=1 0 0"]),
    "adopt.pam": ("/etc/pam.d/sshd", ["account sufficient pam_access.so", *FILES["/etc/pam.d/sshd"]]),
    "adopt.systemd": ("/etc/pam.d/sshd", [*FILES["/etc/pam.d/sshd"], "-session optional pam_systemd.so"]),
    "adopt.usepam": ("/etc/ssh/sshd_config", ["#UsePAM yes", "Match User root", "UsePAM yes"]),
    "ns.users": ("/proc/sys/user/max_user_namespaces", ["15000"]),
}


class Doctor(WithSlurm):
    slurm_conf = MORE
    # Until slurm.conf is there.
    settings = WithSlurm.settings | {"scope": {"exempt_ports": ["tcp/61001-61100"]}}

    def setUp(self):
        remount_proc("hidepid=2")
        add_hosts({"node1": "10.77.0.1", "node2": "10.77.0.2"})
        self.modules = pathlib.Path("/lib/modules")
        mount("tmpfs", self.modules, "tmpfs")
        self.programs = pathlib.Path("/usr/local/sbin")
        mount("tmpfs", self.programs, "tmpfs")
        super().setUp()
        for file, lines in FILES.items():
            replace_file(file, lines)
        for ubfd in (self.ubfd1, self.ubfd2):
            policy = {"labels": WithSlurm.settings["policy"]["labels"]}
            own = {"policy": policy, "scope": {}, "slurm": {"conf": str(self.slurm.folder / "slurm.conf")}}
            ubfd.configure(ubfd.settings | own)
            ubfd.reload()

    def doctor(self, **options):
        """The states of all checks, by id."""
        conf = options.pop("conf", self.slurm.folder / "slurm.conf")
        words = [f"--config={options.pop('config', self.ubfd1.config)}", f"--slurm-conf={conf}"]
        process = self.ubfd1.ctl("--json", "doctor", *words, **options)
        rows = json.loads(process.stdout)["checks"]
        self.assertEqual(process.returncode, any(row["state"] == "off" for row in rows), process.stderr)
        for row in rows:
            self.assertEqual({"write", "where"} <= row.keys(), row["state"] == "off", row)
        return {row["id"]: row["state"] for row in rows}

    def assert_off(self, *wanted, **options):
        states = self.doctor(**options)
        self.assertEqual([name for name, state in states.items() if state == "off"], list(wanted))
        self.seen.update(wanted)

    @contextlib.contextmanager
    def lines(self, file, lines):
        """The file, which FILES has, has other lines meanwhile."""
        copy = FOLDER / pathlib.Path(file).name
        copy.write_text("\n".join(lines) + "\n")
        yield
        copy.write_text("\n".join(FILES[file]) + "\n")

    def test_a_node_by_the_page_is_well_and_each_fault_turns_its_own_line(self):
        self.seen = set()
        self.assertGreater(len(MORE), 7)
        for line in FILES["/etc/fstab"] + FILES["/etc/ssh/sshd_config"] + FILES["/etc/pam.d/sshd"][-2:-1]:
            self.assertIn(line, PAGE)
        job = self.serve("alice", label="physics")
        states = self.doctor()
        self.assertEqual({name for name, state in states.items() if state == "off"}, set())
        self.assertEqual({name for name, state in states.items() if state == "n/a"}, NOT_HERE)
        for name in states:
            self.assertIn(f"`{name}`", PAGE)
        self.bundle()
        self.leftovers(job)
        self.faults_of_slurm(job)
        self.faults_of_ubf()
        self.faults_beside()
        self.faults_of_the_node()
        self.faults_of_peers()
        left = set(states) - self.seen - NOT_HERE
        # These need the table gone, a full conntrack, iptables-legacy or another owner of a port: see doctor_test.cpp.
        self.assertEqual(left, {"ubf.ruleset", "ubf.queues", "kernel.conntrack", "net.legacy", "net.ident_port"})

    def leftovers(self, job):
        """A program that is in no job listens on after its user's job."""
        bob = self.person("bob", self.one)
        bob.do(person.listen, "tcp", "0.0.0.0", 9003)
        other = self.slurm.begin("bob", ["sleep", "1000"], self.one, label="physics")
        rows = {row["address"]: row for row in json.loads(self.ubfd1.ctl("--json", "listeners").stdout)}
        self.assertLessEqual({"user": "alice", "job": str(job), "label": "physics", "program": "python3"}.items(),
                             rows["0.0.0.0:9001"].items())
        self.assertNotIn("job", rows["0.0.0.0:9003"])
        own = json.loads(self.ubfd1.ctl("--json", "listeners", user="bob").stdout)
        self.assertEqual({row["user"] for row in own}, {"bob"})
        self.unwatched()
        end = ["job", "end", "--job", str(other), "--uid", "63002"]
        again = ["job", "begin", "--job", str(other + 1000), "--uid", "63002", "--label", "physics"]
        self.ubfd1.ctl(*again)  # with another job here, nothing is said and nothing ends
        self.assertEqual(self.ubfd1.ctl(*end, "--leftovers", "kill").stdout, "")
        self.ubfd1.ctl("job", "end", "--job", str(other + 1000))
        self.assertRegex(self.ubfd1.ctl(*end).stdout,
                         rf"^job {other} left a listener: tcp 0.0.0.0:9003 of bob\(63002\), \S+\[{bob.pid}\], .*: it goes on\n$")
        self.assertEqual(self.ubfd1.ctl(*end, "--leftovers", "kill", "--keep", "carol,bob").stdout, "")
        self.assertEqual(self.ubfd1.ctl(*end, "--leftovers", "keep").stdout, "")
        without_job = ["--json", "listeners", "--without-job"]
        usual = self.ubfd1.settings
        for users in (["carol", "bob"], []):
            self.ubfd1.configure(usual | {"labels": usual["labels"] | {"leftovers": "kill"}, "listeners": {"keep": users}})
            self.ubfd1.reload()
            left = json.loads(self.ubfd1.ctl(*without_job).stdout)
            self.assertEqual({row["user"] for row in left}, set() if users else {"bob"})
            said = self.ubfd1.ctl(*end).stdout
            self.assertEqual(": ended" in said, not users, said)
            self.assertEqual(bool(self.one.run("ss", "-Htln", "sport", "=", 9003).strip()), bool(users))
        self.ubfd1.configure(usual)
        self.ubfd1.reload()
        wait_until(lambda: not self.one.run("ss", "-Htln", "sport", "=", 9003).strip(), 5, "the listener's end")
        self._people.remove(bob)
        self.slurm.cancel(other)
        self.assertIn(":9001", self.one.run("ss", "-Htln", "sport", "=", 9001))

    def unwatched(self):
        """`listeners` has ports that the configuration watches."""
        file = FOLDER / "other.toml"
        for scope, wanted in (({"exempt_ports": ["tcp/9003"]}, {"9001"}), ({"ports": ["9003-9004"]}, {"9003"})):
            file.write_text(to_toml({"scope": scope, "fabric": {"enabled": False}}))
            rows = json.loads(self.ubfd1.ctl("--json", "listeners", "--config", file).stdout)
            ports = {row["address"].rpartition(":")[2] for row in rows}
            self.assertEqual(ports & {"9001", "9003"}, wanted)
        file.write_text("[scope]\nports = 1\n")
        said = self.ubfd1.ctl("listeners", "--config", file)
        self.assertNotEqual(said.returncode, 0)
        self.assertIn("other.toml:2", said.stderr)

    def bundle(self):
        """It has neither names nor uids of people."""
        text = self.ubfd1.ctl("doctor", "--bundle", "--config", str(self.ubfd1.config), "--slurm-conf",
                              str(self.slurm.folder / "slurm.conf")).stdout
        self.assertEqual(len(json.loads(text)["checks"]), 49)
        self.assertNotRegex(text, r"alice|bob|carol|physics|6300\d")

    def serve(self, user, **options):
        job = self.slurm.begin(user, self.python(SERVER), self.one, **options)
        wait_until(lambda: self.one.run("ss", "-Htln", "sport", "=", 9001).strip(), 10, "the listener")
        return job

    def faults_of_slurm(self, job):
        text = (self.slurm.folder / "slurm.conf").read_text()
        faulty = self.slurm.folder / "faulty.conf"
        for name, (good, bad) in SLURM.items():
            with self.subTest(name):
                self.assertIn(good, text)
                faulty.write_text(text.replace(good, bad, 1))
                self.assert_off(name, conf=faulty)
        self.ubfd1.ctl("job", "end", "--job", str(job))
        self.assert_off("slurm.registered")
        self.ubfd1.ctl("job", "begin", "--job", str(job), "--uid", "63001", "--label", "physics")

    def faults_of_ubf(self):
        good = json.loads(json.dumps(self.settings | {"labels": {"slurm": True}, "peers": {"ranges": PEERS},
                                                      "ident": {"key_file": str(self.key)}}))
        config = FOLDER / "faulty.toml"
        for name, settings in CONFIG.items():
            with self.subTest(name):
                merged = {key: good.get(key, {}) | settings.get(key, {}) for key in {*good, *settings}}
                config.write_text(to_toml(merged))
                self.assert_off(name, config=config)
        config.write_text("[policy]\nmode = 1\n")
        self.assert_off("ubf.config", config=config)
        self.assert_off("ubf.daemon", socket=FOLDER / "nobody.sock")
        self.key.chmod(0o644)
        self.assert_off("ubf.key")
        self.key.chmod(0o600)
        config.write_text(self.ubfd1.config.read_text())
        self.ubfd1.config.write_text("[policy]\nmode = 1\n")
        self.ubfd1.ctl("reload")
        self.ubfd1.config.write_text(config.read_text())
        self.assert_off("ubf.loaded")
        self.ubfd1.ctl("reload")

    def faults_beside(self):
        for name, rules in RULES.items():
            with self.subTest(name):
                self.one.run("nft", "; ".join(["add table inet other", *rules]))
                self.assert_off(name)
                self.one.run("nft", "delete table inet other")
        self.one.run("nft", "add table inet firewalld")
        self.assert_off("net.firewalld")
        self.one.run("nft", "delete table inet firewalld")

    def faults_of_the_node(self):
        for name, (file, lines) in OTHER_FILES.items():
            with self.subTest(name), self.lines(file, lines):
                self.assert_off(name)
        self.one.set_sysctl("net.ipv4.icmp_ratemask", "6168")
        self.assert_off("kernel.refusals")
        self.one.set_sysctl("net.ipv4.icmp_ratemask", "6160")
        folder = self.modules / os.uname().release
        folder.mkdir()
        (folder / "modules.dep").write_text("kernel/net/tipc/tipc.ko: kernel/net/udp_tunnel.ko\n")
        self.assert_off("net.other_families")
        (folder / "modules.dep").unlink()
        sniffer = self.programs / "sniffer"
        sniffer.touch(mode=0o755)
        raw = 1 << 13  # CAP_NET_RAW
        os.setxattr(sniffer, "security.capability", struct.pack("<5I", 0x02000001, raw, 0, 0, 0))
        self.assert_off("net.raw")
        sniffer.unlink()

    def faults_of_peers(self):
        self.ubfd2.stop()
        key = self.key.read_text().split()[1]
        peer = ident.Peer(self.two, key)
        self.addCleanup(peer.socket.close)
        ends = (V4, ident.PORT), ("10.77.0.1", ident.PORT)
        entry = ident.question(ident.flow(("10.77.0.1", 1), (V4, 2)))
        for name, options in {"peers.versions": {"version": 99}, "peers.keys": {"key": bytes(32)}}.items():
            with self.subTest(name):
                options = {"key": bytes.fromhex(key), "kind": ident.GONE} | options
                before = self.rejected()
                peer.send(ident.datagram([entry], *ends, **options), ends[1])
                wait_until(lambda seen=before: self.rejected() > seen, 3, "the rejection")
                self.assert_off(name)
                self.ubfd1.stop()
                self.ubfd1.start()
        alice = self.person("alice", self.two)
        connector = self.two.start("/usr/bin/python3", "-c", CLIENT, user="alice")
        peer.tell(peer.question(), 63001, V4, skew=3600)
        self.assertEqual(connector.wait(10), 0)
        self.assert_off("peers.clocks")
        self.ubfd1.stop()
        self.ubfd1.start()
        for _ in range(3):
            alice.connect("tcp", "10.77.0.1", 9001)
        wait_until(lambda: self.ubfd1.status()["peers_silent"] == 1, 5, "the silent peer")
        self.assert_off("peers.answer")

    def rejected(self):
        return sum(self.ubfd1.status()["ident"]["rejected"].values())


SERVER = """
import socket
listener = socket.create_server(("0.0.0.0", 9001))
while True:
    listener.accept()
"""
CLIENT = "import socket; socket.create_connection(('10.77.0.1', 9001), 5)"


if __name__ == "__main__":
    case.main()
