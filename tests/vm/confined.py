"""ubfd in the sandbox of its unit, under AppArmor, and with its key as a credential."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess

from lab.case import Case, wait_until
from installed import CONFIG, Systemd, assert_logged, pid, property_of, run

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
