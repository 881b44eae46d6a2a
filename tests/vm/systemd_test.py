#!/usr/bin/python3
"""ubfd as it is installed: under systemd, on Debian's kernel. Run this as a service in a guest that was booted with ubf
installed and enabled. The guest is node2."""

import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, cgroups, person  # noqa: E402
from lab.case import ADDRESSES, PEERS, V4, Case, wait_until  # noqa: E402
from lab.node import Home, Node, join  # noqa: E402
from lab.ubfd import Ubfd  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = 9001
EX_UNAVAILABLE, EX_CONFIG = 69, 78  # sysexits.h
INSTALLED, CONFIG = pathlib.Path("/usr/local/sbin/ubfd"), pathlib.Path("/etc/ubf/ubfd.toml")
LAST_GOOD = pathlib.Path("/var/lib/ubf/last-good.toml")


def run(*words, status=0):
    process = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert process.returncode == status, f"{words}: {process.returncode}: {process.stdout}{process.stderr}"
    return process.stdout


def assert_logged(text, *selection):
    """journald writes a line with some delay."""
    def journal():
        return run("journalctl", "-b", *selection)

    wait_until(lambda: text in journal(), 10, lambda: f"'{text}' in {journal()}")


def property_of(unit, name):
    return run("systemctl", "show", "-P", name, unit).strip()


def pid():
    return int(property_of("ubfd", "MainPID"))


def is_ready():
    return (property_of("ubfd", "ActiveState"), property_of("ubfd", "SubState")) == ("active", "running")


def table():
    """The table's text, or ""."""
    return subprocess.run(["nft", "list", "table", "inet", "ubf"], capture_output=True, text=True, check=False).stdout


def journal(lines=15):
    """ubfd's last lines, each short enough for a CI's log."""
    return run("journalctl", "-b", "-t", "ubfd", "-t", "systemd", "-o", "short-precise", "--no-hostname", "-n", lines)


def read_meanwhile(address, port, seconds):
    """Connects and reads, over and over. Returns the times of the answers."""
    end, times = time.monotonic() + seconds, []
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=0.5) as sock:
            sock.sendall(b"hello")
            if sock.recv(100) == b"hello":
                times.append(datetime.datetime.now().time().isoformat())
    return times


class Systemd(Case):
    two, one, ubfd1 = None, None, None  # the same for all tests

    @classmethod
    def setUpClass(cls):
        if Systemd.two:
            return
        case.add_users(case.USERS, case.GROUPS, private=False)
        Systemd.two, Systemd.one = Home("node2"), Node("node1")
        join(cls.one, cls.two, ADDRESSES)
        Systemd.ubfd1 = Ubfd(case.build / "daemon" / "ubfd", cls.one, pathlib.Path("/etc/ubf/ident.key"),
                             {"peers": {"ranges": PEERS}})

    def setUp(self):
        self._people = []
        self.person("alice", self.two).listen("tcp", "0.0.0.0", PORT, backlog=1024)
        self.alice, self.bob = (self.person(user, self.one) for user in ("alice", "bob"))
        wait_until(is_ready, 30, "ubfd to be ready")

    def assert_judges(self):
        self.assertEqual(self.alice.connect("tcp", V4, PORT, timeout=10), "connected")
        self.assertEqual(self.bob.connect("tcp", V4, PORT, timeout=10), "EHOSTUNREACH")

    def connect_meanwhile(self, act, seconds):
        """Connects 200 times a second. Returns the outcomes."""
        thread = threading.Thread(target=act)
        thread.start()
        seen = self.alice.do(person.connect_steadily, V4, PORT, 200, seconds)
        thread.join()
        return seen


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
        yield
        run("sysctl", "-w", f"{name}={usual}")

    @contextlib.contextmanager
    def without(self, unit):
        run("systemctl", "disable", unit)
        yield
        run("systemctl", "enable", unit)

    @contextlib.contextmanager
    def stopped(self):
        run("systemctl", "stop", "ubfd")
        yield
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
                with self.subTest(names), fault:
                    if "kernel.conntrack" in names:
                        # Two flows that are tracked, where one may be.
                        self.alice.connect("tcp", V4, PORT)
                    off = self.off()
                    self.assertEqual(off.keys() - usual.keys(), names, off)
                    self.assertTrue(all(off[name] for name in names))
            wait_until(is_ready, 30, "ubfd to be ready")
            wait_until(lambda: self.off().keys() == usual.keys(), 10, "all faults to be mended")


# Tries each way into another user's process, given the process's pid and a memory address in it.
REACH = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid, address = int(sys.argv[1]), int(sys.argv[2])
room = ctypes.create_string_buffer(8)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
here, there = Vector(ctypes.addressof(room), 8), Vector(address, 8)
handle = os.pidfd_open(pid)
def call(*words):
    ctypes.set_errno(0)
    done = libc.syscall(*(ctypes.c_long(word) if isinstance(word, int) else word for word in words))
    return "done" if done >= 0 else os.strerror(ctypes.get_errno())
print(json.dumps({
    "process_vm_readv": call(310, pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0),
    "process_vm_writev": call(311, pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0),
    "kcmp": call(312, pid, os.getpid(), 2, 0, 0),
    "pidfd_getfd": call(438, handle, 0, 0),
    "ptrace": call(101, 0x4206, pid, 0, 0),
    "pidfd_send_signal": call(424, handle, 0, 0, 0)}), flush=True)
"""


class Confined(Systemd):
    """Another program, in the sandbox of ubfd's unit or of ubf-rdmad's."""

    def probe(self, filtered, sandbox="ubfd"):
        """Returns what the program could do, with the unit's system call filter if `filtered`, otherwise without."""
        unit = pathlib.Path("/run/systemd/system/ubf-probe.service")
        self.addCleanup(lambda: (unit.unlink(missing_ok=True), run("systemctl", "daemon-reload")))
        script, found = pathlib.Path("/usr/local/lib/ubf-probe.py"), pathlib.Path("/run/ubf-probe.json")
        script.write_text(REACH)
        victim = subprocess.Popen(["setpriv", "--reuid=63001", "--clear-groups", "python3", "-c", (
            "import ctypes\nroom = ctypes.create_string_buffer(b'secret!!')\n"
            "print(ctypes.addressof(room), flush=True)\ninput()\n")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: victim.communicate("\n"))
        address = victim.stdout.readline().strip()
        gone = ("Condition", "ExecReload", "ExecStopPost", "NotifyAccess", "Restart", "WatchdogSec", "FileDescriptor",
                "RuntimeDirectory", "StateDirectory", "WantedBy", "Also") + (() if filtered else ("SystemCallFilter",))
        lines = []
        for line in pathlib.Path(f"/usr/local/lib/systemd/system/{sandbox}.service").read_text().splitlines():
            if line.startswith("ExecStart="):
                line = f"ExecStart=/usr/bin/python3 {script} {victim.pid} {address}\nStandardOutput=truncate:{found}"
            elif line == "Type=notify":
                line = "Type=oneshot"
            if not line.startswith(gone):
                lines.append(line)
        unit.write_text("\n".join(lines) + "\n")
        run("systemctl", "daemon-reload")
        run("systemctl", "start", "ubf-probe")
        return json.loads(found.read_text())

    def test_it_cannot_reach_into_other_processes(self):
        ways = ("process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "ptrace")
        everything = self.probe(filtered=False)
        self.assertEqual({way: everything[way] for way in ways}, dict.fromkeys(ways, "done"))  # allowed by capabilities
        found = self.probe(filtered=True)
        self.assertEqual({way: found[way] for way in ways}, dict.fromkeys(ways, "Operation not permitted"))
        self.assertEqual(found["pidfd_send_signal"], "Operation not permitted")
        found = self.probe(filtered=True, sandbox="ubf-rdmad")
        self.assertEqual({way: found[way] for way in ways}, dict.fromkeys(ways, "Operation not permitted"))
        self.assertEqual(found["pidfd_send_signal"], "done")  # this one may kill


class Rdma(Systemd):
    def test_the_watch_runs_only_where_there_is_rdma_with_two_capabilities(self):
        run("systemctl", "start", "ubf-rdmad")
        self.assertEqual(property_of("ubf-rdmad", "ActiveState"), "inactive")
        self.assertEqual(property_of("ubf-rdmad", "ConditionResult"), "no")
        run("modprobe", "rdma_rxe")
        run("rdma", "link", "add", "rxe0", "type", "rxe", "netdev", "eth0")
        self.addCleanup(lambda: (run("systemctl", "stop", "ubf-rdmad"), run("rdma", "link", "delete", "rxe0")))
        run("systemctl", "start", "ubf-rdmad")
        self.assertEqual(property_of("ubf-rdmad", "ActiveState"), "active")
        wait_until(lambda: self.state() == "active", 20, self.state)
        main = property_of("ubf-rdmad", "MainPID")
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{main}/status").read_text().splitlines())
        self.assertEqual(status["Uid"].split()[0], run("id", "-u", "ubf").strip())
        for line in ("CapBnd", "CapPrm", "CapEff"):
            self.assertEqual(int(status[line], 16), 1 << 5 | 1 << 19, line)  # KILL, SYS_PTRACE
        os.kill(int(main), signal.SIGKILL)
        wait_until(lambda: property_of("ubf-rdmad", "MainPID") not in ("0", main), 20)
        wait_until(lambda: self.state() == "active", 20, self.state)
        run("systemctl", "stop", "ubf-rdmad")
        wait_until(lambda: self.state() == "NOT WATCHED: no ubf-rdmad reports", 20, self.state)

    @staticmethod
    def state():
        return json.loads(run("ubfctl", "--json", "status"))["rdma"]["state"]


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


class Credential(Systemd):
    """The cluster key as a credential of the unit, which names ident.key and no path."""

    KEY, STORE = pathlib.Path("/etc/ubf/ident.key"), pathlib.Path("/etc/credstore/ident.key")
    DROP_IN = pathlib.Path("/run/systemd/system/ubfd.service.d/key.conf")

    def setUp(self):
        super().setUp()
        self.key = self.KEY.read_text()

        def put_back():
            self.write(self.KEY, self.key)
            for path in (self.STORE, self.DROP_IN):
                path.unlink(missing_ok=True)
            run("systemctl", "daemon-reload")
            run("systemctl", "restart", "ubfd")

        self.addCleanup(put_back)
        self.STORE.parent.mkdir(mode=0o700, exist_ok=True)

    @staticmethod
    def write(path, text):
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)

    def assert_from_credential(self):
        shown = run("ubfctl", "config", "--set")
        self.assertIn('key_file = "/run/credentials/ubfd.service/ident.key"', shown)
        self.assertIn("the credential ident.key", shown)
        self.assertIn("the key is the credential /run/credentials/ubfd.service/ident.key", run("ubfctl", "check-config"))

    def test_stands_before_the_file_and_a_new_one_takes_a_restart(self):
        self.write(self.STORE, self.key)
        self.write(self.KEY, f"ubf-key-1 {'0' * 64}\n")  # if ubfd read this one, no peer would believe it
        run("systemctl", "restart", "ubfd")
        self.assert_judges()
        self.assert_from_credential()
        self.assertIn("/etc/ubf/ident.key is not read", run("ubfctl", "check-config"))
        old = json.loads(run("ubfctl", "--json", "status"))["ident"]["keys"]
        self.write(self.STORE, f"ubf-key-1 {'1' * 64}\n{self.key}")
        run("systemctl", "reload", "ubfd")
        self.assertEqual(json.loads(run("ubfctl", "--json", "status"))["ident"]["keys"], old)
        assert_logged("another key takes a restart", "-t", "ubfd")
        run("systemctl", "restart", "ubfd")
        self.assertEqual(json.loads(run("ubfctl", "--json", "status"))["ident"]["keys"]["accepted"], old["signs"])

    def test_may_be_encrypted_and_a_file_that_is_named_stands_before_it(self):
        encrypted = pathlib.Path("/run/ident.key.cred")
        self.write(self.STORE, self.key)
        run("systemd-creds", "encrypt", "--with-key=host", "--name=ident.key", self.STORE, encrypted)
        self.addCleanup(encrypted.unlink)
        self.STORE.unlink()
        self.KEY.unlink()
        self.DROP_IN.parent.mkdir(parents=True, exist_ok=True)
        self.DROP_IN.write_text(f"[Service]\nLoadCredential=\nLoadCredentialEncrypted=ident.key:{encrypted}\n")
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", "ubfd")
        self.assert_judges()
        self.assert_from_credential()
        good = CONFIG.read_text()
        self.addCleanup(CONFIG.write_text, good)
        self.write(self.KEY, self.key)
        CONFIG.write_text(good + f'[ident]\nkey_file = "{self.KEY}"\n')
        run("systemctl", "restart", "ubfd")
        self.assertIn(f"key_file = '{self.KEY}'", run("ubfctl", "config", "--set"))
        self.assert_judges()


class Stateless(Systemd):
    """File systems that keep nothing, or may not be written, mounted under ubfd before it starts."""

    WORDS = "a restart forgets jobs, refusals and exceptions"

    def mount(self, *words):
        run("mount", *words)
        self.addCleanup(run, "umount", words[-1])

    def begin(self):
        self.addCleanup(run, "systemctl", "restart", "ubfd")
        run("systemctl", "stop", "ubfd")

    def read_only(self, place):
        self.mount("--bind", place, place)
        run("mount", "-o", "remount,bind,ro", place)

    def assert_starts(self):
        run("systemctl", "start", "ubfd")
        self.assert_judges()
        run("ubfctl", "job", "begin", "--job", 7, "--uid", case.USERS["alice"], "--label", "physics")

    def test_it_starts_where_var_and_etc_are_read_only_and_says_what_it_forgets(self):
        self.begin()
        LAST_GOOD.parent.rename("/var/lib/ubf.kept")
        self.addCleanup(lambda: pathlib.Path("/var/lib/ubf.kept").rename(LAST_GOOD.parent))
        for place in ("/etc", "/var"):
            self.read_only(place)
        self.assert_starts()
        self.assertIn(self.WORDS, run("ubfctl", "status"))
        assert_logged("/var/lib/ubf: can't be written: Read-only file system", "-t", "ubfd")
        assert_logged("job 7 is registered, but could not be saved", "-t", "ubfd")

    def test_a_folder_that_is_there_but_read_only_is_no_obstacle(self):
        self.begin()
        self.read_only("/var")
        self.assert_starts()
        self.assertIn(self.WORDS, run("ubfctl", "status"))

    def test_where_var_begins_empty_it_keeps_all_until_the_next_boot(self):
        self.begin()
        self.mount("-t", "tmpfs", "tmpfs", "/var")
        run("systemd-tmpfiles", "--create", "ubf.conf", "var.conf", "tmp.conf")
        self.assert_starts()
        self.assertNotIn(self.WORDS, run("ubfctl", "status"))
        self.assertTrue(LAST_GOOD.exists())
        self.assertTrue((LAST_GOOD.parent / "jobs" / "7").exists())


class AppArmor(Systemd):
    """ubfd under its profile, which stays for the tests after this one (Unhindered)."""

    PROFILE = pathlib.Path("/usr/local/share/ubf/apparmor/ubfd")

    def test_confines_the_programs_of_portals(self):
        for name, sock in (("ubf-portal", "portal/http.sock"), ("ubf-connect", "connect/ask.sock")):
            with self.subTest(name):
                run("cp", self.PROFILE.with_name(name), f"/etc/apparmor.d/{name}")
                run("apparmor_parser", "-r", f"/etc/apparmor.d/{name}")
                run("systemctl", "start", name)
                self.addCleanup(run, "systemctl", "stop", name)
                main = property_of(name, "MainPID")
                self.assertEqual(pathlib.Path(f"/proc/{main}/attr/current").read_text(), f"{name} (enforce)\n")
                with socket.socket(socket.AF_UNIX) as asker:
                    asker.settimeout(10)
                    asker.connect(f"/run/ubf/{sock}")
                    with contextlib.suppress(OSError):  # root is no portal
                        asker.sendall(b"GET /v1/may HTTP/1.0\r\nUBF-User: a\r\nUBF-Target: 10.77.0.2:9001\r\n\r\n")
                        asker.recv(4096)
                run("systemctl", "reload", name)
                self.assertEqual(property_of(name, "MainPID"), main)
                denied = [line for line in run("dmesg").splitlines() if "DENIED" in line and f'profile="{name}"' in line]
                self.assertFalse(denied, "\n".join(denied))

    def test_confines_ubfd_to_what_it_needs(self):
        run("cp", str(self.PROFILE), "/etc/apparmor.d/ubfd")
        run("apparmor_parser", "-r", "/etc/apparmor.d/ubfd")
        self.addCleanup(Unhindered.expect)
        run("systemctl", "restart", "ubfd")
        self.assert_judges()
        self.assertEqual(pathlib.Path(f"/proc/{pid()}/attr/current").read_text(), "ubfd (enforce)\n")
        # The same rules for a program that can be told to do what ubfd does not.
        rules = self.PROFILE.read_text().replace("profile ubfd /usr/{,local/}sbin/ubfd", "profile ubf-probe")
        rules = rules.replace("  /usr/{,local/}sbin/ubfd mr", "  /{,usr/}{,s}bin/* mr")
        pathlib.Path("/run/ubf-probe").write_text(rules)
        run("apparmor_parser", "-r", "/run/ubf-probe")
        for what, may in (("cat /etc/ubf/ubfd.toml", True), ("cat /proc/1/status", True), ("cat /etc/shadow", False),
                          ("cat /proc/1/environ", False), ("tee -a /etc/ubf/ubfd.toml", False),
                          ("env true", False), ("kill -CONT 1", False)):
            tried = subprocess.run(["aa-exec", "-p", "ubf-probe", "--", *what.split()], capture_output=True, text=True,
                                   stdin=subprocess.DEVNULL, check=False)
            self.assertEqual(tried.returncode == 0, may, f"{what}: {tried.stderr}")
        subprocess.run(["dmesg", "-C"], check=True)


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


class Flush(Systemd):
    """Debian's own firewall service flushes all tables at each start and stop."""

    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "::1", PORT)

    def assert_lets_nobody_in(self, act, seconds):
        """Bob tries all the time, from both nodes and over both families: before, during and after the action."""
        ways = [(self.person("bob", self.one), V4), (self.person("bob", self.two), "127.0.0.1"),
                (self.person("carol", self.two), "::1")]
        results = [somebody.begin(read_meanwhile, address, PORT, seconds) for somebody, address in ways]
        act()
        read = [result() for result in results]
        self.assertEqual(read, [[], [], []], journal(20))

    def ruleset(self):
        return json.loads(run("ubfctl", "--json", "status"))["ruleset"]

    def assert_owned(self):
        wait_until(is_ready, 30)
        self.assertEqual((self.ruleset()["owned"], self.ruleset()["repairs"]), (True, 0))
        self.assert_judges()

    def test_opens_nothing(self):
        def act():
            for _ in range(5):
                run("systemctl", "restart", "nftables")
            run("nft", "flush", "ruleset")

        self.assert_lets_nobody_in(act, 15)
        self.assert_owned()

    def test_while_ubfd_restarts_or_is_killed_opens_nothing(self):
        def act():
            for end in (["kill", "-9", str(pid())], ["systemctl", "restart", "ubfd"]):
                ending = subprocess.Popen(end)
                for _ in range(20):
                    run("nft", "flush", "ruleset")
                ending.wait()
                wait_until(is_ready, 30)

        self.assert_lets_nobody_in(act, 20)
        self.assert_owned()

    def test_of_a_table_that_a_failed_ubfd_left_is_the_first_that_opens_it(self):
        good = CONFIG.read_text()
        self.addCleanup(lambda: (CONFIG.write_text(good), run("systemctl", "restart", "ubfd")))

        def act():
            LAST_GOOD.unlink()
            CONFIG.write_text(good + "[nonsense]\n")
            run("systemctl", "restart", "ubfd", status=1)
            wait_until(lambda: property_of("ubfd", "ActiveState") == "failed", 20)

        self.assert_lets_nobody_in(act, 15)
        self.assertIn("ubf:verdict:no_verdict", table())
        self.assertEqual(run("nft", "list", "tables").count("ubf"), 1)
        CONFIG.write_text(good)
        self.assert_lets_nobody_in(lambda: run("systemctl", "restart", "ubfd"), 10)
        self.assert_owned()

    def test_where_a_stop_keeps_the_table_it_stays(self):
        good = CONFIG.read_text()
        self.addCleanup(lambda: (CONFIG.write_text(good), run("systemctl", "restart", "ubfd")))
        CONFIG.write_text(good + "[ruleset]\non_stop = \"keep\"\n")
        run("systemctl", "reload", "ubfd")
        self.assert_lets_nobody_in(lambda: run("systemctl", "stop", "ubfd"), 10)
        self.assertIn("ubf:verdict:no_verdict", table())
        self.assertEqual(run("nft", "list", "tables").count("ubf"), 1)

    def test_a_stop_for_good_removes_it(self):
        run("systemctl", "stop", "ubfd")
        self.assertEqual(table(), "")
        run("systemctl", "start", "ubfd")
        self.assert_owned()


class FileSystem(Systemd):
    """Homes on NFS over the gated network. The server is this node's kernel, and the client is node1's."""

    def setUp(self):
        super().setUp()
        self.exported, self.mounted = pathlib.Path("/srv/homes"), pathlib.Path("/mnt/homes")
        for folder in (self.exported, self.mounted):
            folder.mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", self.exported)
        self.addCleanup(run, "umount", "-l", self.exported)
        run("modprobe", "nfsd")
        if not pathlib.Path("/proc/fs/nfsd/threads").exists():
            run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
        run("exportfs", "-o", "rw,fsid=0,no_root_squash,no_subtree_check,insecure", f"10.77.0.1:{self.exported}")
        self.addCleanup(run, "exportfs", "-ua")
        mountd = subprocess.Popen(["rpc.mountd", "-N", "2", "-N", "3", "-F"])
        self.addCleanup(mountd.wait)
        self.addCleanup(mountd.kill)
        for setting in ("nfsv4leasetime", "nfsv4gracetime"):
            pathlib.Path("/proc/fs/nfsd", setting).write_text("10\n")
        run("rpc.nfsd", "-N", "3", "4")
        self.addCleanup(run, "rpc.nfsd", "0")

    def mount(self, version):
        self.one.run("mount", "-t", "nfs4", "-o", f"vers={version},soft,timeo=300", f"{V4}:/", self.mounted)

    def unmount(self):
        self.one.run("umount", self.mounted)

    def test_a_mount_works_before_during_and_after_a_restart(self):
        for version in ("4.0", "4.2"):  # the server of 4.0 calls back over a connection of its own, that of 4.2 doesn't
            with self.subTest(version):
                self.mount(version)
                (self.mounted / "file").write_text("before\n")
                run("systemctl", "restart", "ubfd")
                (self.mounted / "file").write_text("after\n")
                self.assertEqual((self.exported / "file").read_text(), "after\n")
                self.unmount()
                restart = subprocess.Popen(["systemctl", "restart", "ubfd"])
                self.mount(version)  # during the restart
                self.assertEqual((self.mounted / "file").read_text(), "after\n")
                self.assertEqual(restart.wait(), 0)
                self.unmount()

    def test_it_is_known_as_the_kernels(self):
        self.mount("4.2")
        self.addCleanup(self.unmount)
        source = next(line.split()[4] for line in self.two.run("ss", "-Htn", "sport", "2049").splitlines())
        answer = json.loads(run("ubfctl", "--json", "explain", "--from", source, "--to", f"{V4}:2049"))
        self.assertEqual((answer["listener"]["kind"], answer["connector"]["kind"]), ("kernel", "kernel"))
        # The listener's socket has a file, so its kind takes a search, which the gate doesn't need: the peer has named
        # a connector of the kernel's already.
        self.assertEqual(answer["verdict"]["reason"], "exempt-connector")

    def make_root(self):
        """Copies what ubfd takes of this machine into the exported folder, as the root file system of node1."""
        ubfd = Systemd.ubfd1._command[0]
        libraries = re.findall(r"(/\S+) \(0x", run("ldd", ubfd)) + re.findall(r"=> (/\S+)", run("ldd", ubfd))
        for path in {*libraries, *map(str, pathlib.Path("/").glob("lib/x86_64-linux-gnu/libnss_*.so*")), "/etc/passwd",
                     "/etc/group", "/etc/nsswitch.conf", "/etc/ubf/ident.key", "/bin/true"}:
            copy = pathlib.Path(f"{self.exported}{path}")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        shutil.copy(ubfd, self.exported / "ubfd")
        for folder in ("proc", "sys", "tmp", "run"):
            (self.exported / folder).mkdir()

    def test_a_node_whose_root_it_is_comes_back_without_ubfd(self):
        """node1 has its root here. Its ubfd dies, and then the connection to the server breaks. Nobody at node1 could
        answer for it, so the server's port is exempt, as docs/images.md says."""
        good = CONFIG.read_text()
        self.addCleanup(lambda: (CONFIG.write_text(good), run("systemctl", "reload", "ubfd")))
        CONFIG.write_text(good + '[scope]\nexempt_ports = ["tcp/2049"]\n')
        run("systemctl", "reload", "ubfd")
        self.make_root()
        self.mount("4.2")
        self.addCleanup(lambda: self.one.run("umount", "-Rl", self.mounted))
        for folder in ("proc", "sys", "tmp", "run"):
            run("mount", "--rbind", "--make-rslave", f"/{folder}", self.mounted / folder)
        ubfd = Systemd.ubfd1
        self.assertEqual(ubfd.stop(), 0)
        beside, ubfd._command[:1] = ubfd._command[0], ["chroot", self.mounted, "/ubfd"]

        def put_back():
            ubfd.kill()
            ubfd._command[:3] = [beside]
            ubfd.start()

        self.addCleanup(put_back)
        ubfd.start()
        self.assert_judges()
        for broken in (False, True):
            with self.subTest(broken=broken):
                ubfd.kill()
                if broken:
                    self.one.run("ss", "-K", "dport", "2049")
                pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")  # the program is read anew
                ubfd.start()
                self.assert_judges()


class Import(Systemd):
    """The ruleset beside the administrator's own, by the steps of README, with Debian's nftables.service."""

    FILE, DEBIANS = pathlib.Path("/etc/nftables.d/ubf.nft"), pathlib.Path("/etc/nftables.conf")

    def setUp(self):
        super().setUp()
        kept = {path: path.read_text() for path in (CONFIG, self.DEBIANS)}

        def put_back():
            for path, text in kept.items():
                path.write_text(text)
            run("nft", "flush", "ruleset")
            run("systemctl", "restart", "ubfd")

        self.addCleanup(put_back)
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        steps = re.search(r"imports it:\n\n((?:    .*\n)+)", readme)[1]
        run("sh", "-ec", re.sub(r"(?m)^ +|\bsudo ", "", steps))

    def status(self):
        process = subprocess.run(["ubfctl", "--json", "status"], capture_output=True, text=True, check=False)
        return process.returncode, json.loads(process.stdout or '{"ruleset": {"state": "no answer"}}')["ruleset"]["state"]

    def assert_is(self, *status):
        wait_until(lambda: self.status() == status, 20, lambda: f"{status}, not {self.status()}, {journal()}:")

    def assert_refuses_bob(self):
        self.assertEqual(self.bob.connect("tcp", V4, PORT, timeout=10), "EHOSTUNREACH")

    def forget_to_include(self):
        text = self.DEBIANS.read_text()
        self.DEBIANS.write_text(text.replace(f'include "{self.FILE}"\n', ""))
        self.assertNotEqual(self.DEBIANS.read_text(), text)
        run("systemctl", "restart", "nftables")

    def test_the_steps_work_and_survive_a_restart_of_nftables(self):
        for _ in range(2):
            self.assert_is(0, "installed")
            self.assertNotIn("ubf:verdict:stand_in", table())
            self.assert_judges()
            run("systemctl", "restart", "nftables")
        before = table()
        run("systemctl", "restart", "ubfd")
        self.assert_is(0, "installed")
        self.assertEqual("chain verdict" in before, True)
        self.assert_judges()

    def test_where_it_is_gone_ubfds_own_stands_in_and_it_says_so(self):
        self.assert_is(0, "installed")
        self.forget_to_include()
        self.assert_is(EX_UNAVAILABLE, "stand-in")
        self.assert_judges()
        assert_logged("the imported ruleset is gone", "-t", "ubfd")
        self.assertIn("stands in", run("ubfctl", "status", status=EX_UNAVAILABLE))
        # ubfd remembers this over a restart, and the node stays closed while ubfd is down.
        run("systemctl", "restart", "ubfd")
        self.assert_is(EX_UNAVAILABLE, "stand-in")
        self.assert_judges()
        run("systemctl", "stop", "ubfd")
        self.assert_refuses_bob()
        run("systemctl", "start", "ubfd")
        self.assert_is(EX_UNAVAILABLE, "stand-in")
        # The administrator imports the ruleset again.
        run("nft", "-f", self.FILE)
        self.assert_is(0, "installed")
        self.assertNotIn("ubf:verdict:stand_in", table())
        # A missing part is a hole as well.
        run("nft", "flush", "chain", "inet", "ubf", "verdict")
        self.assert_is(EX_UNAVAILABLE, "stand-in")
        self.assert_judges()

    def test_the_boot_unit_stands_in_as_well(self):
        run("systemctl", "stop", "ubfd")
        self.forget_to_include()
        self.assertEqual(table(), "")
        run("systemctl", "restart", "ubf-ruleset", status=1)
        self.assertEqual(property_of("ubf-ruleset", "ActiveState"), "failed")
        assert_logged("imported ruleset is gone", "-u", "ubf-ruleset")
        self.assert_refuses_bob()
        run("systemctl", "start", "ubfd")
        self.assert_is(EX_UNAVAILABLE, "stand-in")
        self.assert_judges()

    def test_a_site_that_says_so_is_told_and_nothing_is_put_there(self):
        CONFIG.write_text(CONFIG.read_text().replace("manage = false", 'manage = false\nwhen_gone = "report"'))
        run("systemctl", "restart", "ubfd")
        self.assert_is(0, "installed")
        self.forget_to_include()
        self.assert_is(EX_UNAVAILABLE, "broken")
        self.assertEqual(table(), "")
        run("systemctl", "restart", "ubf-ruleset", status=1)
        assert_logged("this node is open", "-u", "ubf-ruleset")
        self.assertEqual(table(), "")


class Unhindered(Case):
    """Nothing that the tests before made ubfd do was denied by its profile."""

    expected = False

    @classmethod
    def expect(cls):
        cls.expected = True

    def test_by_apparmor(self):
        self.assertTrue(self.expected, "AppArmor's test runs before this one")
        self.assertEqual(pathlib.Path(f"/proc/{pid()}/attr/current").read_text(), "ubfd (enforce)\n")
        denied = [line for line in run("dmesg").splitlines() if 'apparmor="DENIED"' in line and 'profile="ubfd"' in line]
        self.assertFalse(denied, "\n".join(denied))


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
