#!/usr/bin/python3
"""A real SELinux with Debian's policy: its categories as labels, and ubfd in a domain of its own. Run by boot --selinux."""

import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import USERS, V4, TwoNodes, wait_until  # noqa: E402
from lab.node import Home  # noqa: E402
from lab.portal import as_service  # noqa: E402
from lab.tree import add_users  # noqa: E402

PORT = 9001
MODULES = ("nf_tables nfnetlink_queue nft_queue nft_ct nft_reject_inet nf_conntrack_netlink inet_diag tcp_diag udp_diag "
           "nft_compat xt_NFQUEUE nft_limit nft_fib_inet nft_socket veth").split()
SERVER = """
import socket, threading
listener = socket.create_server(("", {port}))
def echo(connection):
    while data := connection.recv(100):
        connection.sendall(data)
print("ready", flush=True)
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
"""
CLIENT = """
import socket
try:
    connection = socket.create_connection(("{address}", {port}), timeout=10)
    connection.sendall(b"welcome")
    print(connection.recv(16).decode())
except OSError as error:
    print(error.strerror)
"""


def load_modules():
    """If the policy is enforced, modprobe can't read its files, which have no label here."""
    mode = pathlib.Path("/sys/fs/selinux/enforce").read_text()
    subprocess.run(["setenforce", "0"], check=True)
    subprocess.run(["modprobe", "-a", *MODULES], check=True)
    subprocess.run(["setenforce", mode], check=True)


def _end(process):
    process.kill()
    process.wait()
    process.stdout.close()


def of_doctor(check):
    """The state of a check of `ubfctl doctor`."""
    told = subprocess.run([case.build / "daemon" / "ubfctl", "--json", "doctor"], capture_output=True, check=False).stdout
    return next(row["state"] for row in json.loads(told)["checks"] if row["id"] == check)


class Programs(unittest.TestCase):
    def program(self, node, user, level, text):
        """Runs Python as a login of this user at this level."""
        process = node.start("runcon", "-u", "unconfined_u", "-r", "unconfined_r", "-t", "unconfined_t", "-l", level,
                             "/usr/bin/python3", "-c", text, user=user, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(_end, process)
        return process

    def serve(self, node, user, level, port=PORT):
        self.assertEqual(self.program(node, user, level, SERVER.format(port=port)).stdout.readline(), "ready\n")

    def call(self, node, user, level, address, port=PORT):
        return self.program(node, user, level, CLIENT.format(address=address, port=port)).communicate()[0].strip()


class Labels(Programs, TwoNodes):
    settings = {"labels": {"selinux": True}, "policy": {"labels": {"selinux:*": {"allow": ["alice", "bob"]}}}}

    def setUp(self):
        load_modules()
        super().setUp()

    def test_categories_in_common_let_in(self):
        self.serve(self.two, "alice", "s0:c1,c2")
        for node, address in ((self.one, V4), (self.two, V4), (self.two, "127.0.0.1")):
            for level, seen in (("s0:c1,c2", "welcome"), ("s0:c2,c1", "welcome"), ("s0:c3", "No route to host"),
                                ("s0:c1", "No route to host"), ("s0", "No route to host"),
                                ("s0-s0:c0.c1023", "No route to host"), ("s0:c1,c2-s0:c0.c1023", "welcome")):
                with self.subTest(f"{node.name} {address} {level}"):
                    self.assertEqual(self.call(node, "bob", level, address), seen)
        # The rule doesn't allow carol to carry the label.
        self.assertEqual(self.call(self.one, "carol", "s0:c1,c2", V4), "No route to host")
        self.assert_denied(self.ubfd2, "connector=bob", "(labels: listener selinux:c1,c2, connector selinux:c3: none in common)")
        self.assert_denied(self.ubfd2, "connector=carol", "does not let the connector carry it")
        self.assertGreater(self.ubfd2.status()["labels"]["found"]["selinux"], 0)


class LabelledNetwork(Programs, TwoNodes):
    """The kernels state the level of a packet's sender in the packet, and the level that a node's ubfd tells must
    agree."""

    settings = Labels.settings

    def setUp(self):
        load_modules()
        super().setUp()
        for words in (["cipsov4", "add", "pass", "doi:16", "tags:1"], ["map", "del", "default"],
                      ["map", "add", "default", "address:127.0.0.0/8", "protocol:unlbl"],
                      ["map", "add", "default", "address:0.0.0.0/0", "protocol:cipsov4,16"],
                      ["map", "add", "default", "address:::/0", "protocol:unlbl"]):
            subprocess.run(["netlabelctl", *words], check=True)

    def test_a_level_that_agrees_lets_in_and_one_that_does_not_is_none(self):
        self.serve(self.two, "alice", "s0:c1,c2")
        self.assertEqual(self.call(self.one, "bob", "s0:c1,c2", V4), "welcome")
        # The peer's ubfd finds another level behind the socket than the packet states: the program makes its socket,
        # changes its level, and connects then.
        text = CLIENT.replace("connection = socket.create_connection((\"{address}\", {port}), timeout=10)",
                              "connection = socket.socket()\n    connection.settimeout(10)\n"
                              "    open('/proc/self/attr/current', 'w').write("
                              "'unconfined_u:unconfined_r:unconfined_t:s0:c1,c2')\n"
                              "    connection.connect((\"{address}\", {port}))")
        liar = self.program(self.one, "bob", "s0:c3", text.format(address=V4, port=PORT)).communicate()[0].strip()
        self.assertEqual(liar, "No route to host")
        self.assertEqual(self.ubfd2.status()["labels"]["contradicted"], 1)
        self.assert_denied(self.ubfd2, "connector=bob", "connector not known")
        # The levels agree, but the ends have no label in common.
        self.assertEqual(self.call(self.one, "bob", "s0:c3", V4), "No route to host")
        self.assertEqual(self.ubfd2.status()["labels"]["contradicted"], 1)


class Required(Programs, TwoNodes):
    settings = {"labels": {"selinux": True},
                "policy": {"require_label": True, "labels": {"selinux:*": {"allow": ["alice", "bob"]}}}}

    def setUp(self):
        load_modules()
        super().setUp()

    def test_one_user_is_kept_apart_from_himself(self):
        self.serve(self.two, "alice", "s0:c1,c2")
        self.serve(self.two, "alice", "s0", PORT + 1)
        for level, labelled, plain in (("s0:c1,c2", "welcome", "No route to host"),
                                       ("s0:c3", "No route to host", "No route to host"),
                                       ("s0", "No route to host", "welcome")):
            self.assertEqual((self.call(self.one, "alice", level, V4), self.call(self.one, "alice", level, V4, PORT + 1)),
                             (labelled, plain), level)
        # This ubfd is in no domain of its own.
        enforcing = pathlib.Path("/sys/fs/selinux/enforce").read_text() == "1"
        self.assertEqual(of_doctor("ubf.selinux"), "off" if enforcing else "n/a")


# Gives up new privileges (PR_SET_NO_NEW_PRIVS), waits for a line, and becomes the program.
START = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0
null = os.open("/dev/null", os.O_RDWR)
print("here", flush=True)
sys.stdin.readline()
os.dup2(null, 0)  # as systemd does; what belongs to the test is not ubfd's to use
os.dup2(null, 1)
os.dup2(null, 2)
os.execv(sys.argv[1], sys.argv[1:])
"""
# A web server: asks ubf-portal whether alice may reach her program, and speaks with that through ubf-connect. It has no
# file that it may write to; its exit status says how far it came.
WEB_SERVER = """
import json, os, signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("here", flush=True)
signal.sigwait([signal.SIGUSR1])
def ask(path, data):
    asker = socket.socket(socket.AF_UNIX)
    asker.settimeout(10)
    asker.connect(path)
    asker.sendall(data)
    return asker.recv(4096)
step = 10
try:
    answer = ask("/run/ubf/portal/http.sock", b"GET /v1/may HTTP/1.0\\r\\nUBF-User: alice\\r\\nUBF-Target: {target}\\r\\n\\r\\n")
    step = 11 if b" 200 " in answer or b" 204 " in answer else 20
    path = json.loads(ask("/run/ubf/connect/ask.sock", b'{{"user": "alice", "target": "{target}"}}\\n'))["path"]
    step = 12
    step = 0 if ask(path, b"welcome") == b"welcome" else 13
finally:
    os._exit(step)
"""
PORTALS = {"ubf-portal": "portal/http.sock", "ubf-connect": "connect/ask.sock"}
DOMAINS = ("ubfd_t", "ubf_portal_t", "ubf_connect_t")
OWN = "10.77.0.1"


class Confined(Programs):
    """ubfd, ubf-portal and ubf-connect run on one node as under init: in their domains, by ubf's own module. The policy
    is enforced."""

    CONFIG = """[labels]
selinux = true
slurm = true
[policy.labels."selinux:*"]
allow = ["alice", "bob"]
[peers]
ranges = ["10.77.0.0/24"]
[slurm]
conf = "/etc/slurm/slurm.conf"
[portal]
users = ["www-data"]
for = ["alice"]
group = "www-data"
"""
    SLURM = "ClusterName=c\nSlurmctldHost=localhost\nNodeName=localhost\nPartitionName=p Nodes=ALL\n"

    def setUp(self):
        self.node = Home("guest")
        add_users(USERS | {"ubf-portal": 63020, "ubf-connect": 63021}, {})
        made = case.build / "selinux" / "root" / "etc" / "selinux"
        subprocess.run(["setenforce", "0"], check=True)
        subprocess.run(["modprobe", "-a", *MODULES], check=True)
        subprocess.run(["cp", "-a", f"{made}/.", "/etc/selinux/"], check=True)
        subprocess.run(["load_policy"], check=True)
        subprocess.run(["ip", "address", "add", f"{OWN}/24", "dev", "lo"], check=True)
        for name in ("ubfd", *PORTALS):
            self.put(f"/usr/sbin/{name}", (case.build / "daemon" / name).read_bytes(), 0o755)
        self.put("/etc/ubf/ubfd.toml", self.CONFIG.encode())
        self.put("/etc/ubf/ident.key", f"ubf-key-1 {secrets.token_hex(32)}\n".encode(), 0o600)
        self.put("/etc/slurm/slurm.conf", self.SLURM.encode())
        subprocess.run([case.build / "daemon" / "ubfctl", "check-config"], check=True)
        shutil.rmtree("/var/lib/ubf", ignore_errors=True)  # from this machine's own ubfd, and without labels
        os.mkdir("/var/lib/ubf")
        for name, sock in PORTALS.items():
            folder = pathlib.Path("/run/ubf", sock).parent
            folder.mkdir(parents=True)
            shutil.chown(folder, name)
        # As the documentation says.
        self.label("/etc/ubf", "/var/lib/ubf", "/run/ubf", *(f"/usr/sbin/{name}" for name in ("ubfd", *PORTALS)))
        # These files of the host's have no labels; add_users mounts some of them.
        self.label("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/slurm", "/usr/share/zoneinfo/Etc")
        self.label("/run", "/usr/share", "/usr/share/zoneinfo", "/usr/local/lib", "/etc/selinux", "/etc/selinux/config",
                   recurse=False)
        # No process can enter init_t under the policy, or httpd_t from here, so all start before.
        self.ubfd = self.start("ubfd")
        self.portals = [self.start(name, user=name) for name in PORTALS]
        self.web_server = self.waiting("httpd_t", "setpriv", "--reuid", "www-data", "--regid", "www-data", "--clear-groups",
                                       code=(WEB_SERVER.format(target=f"{OWN}:{PORT}"),))
        subprocess.run(["dmesg", "-C"], check=True)
        subprocess.run(["setenforce", "1"], check=True)
        self.let(self.ubfd)
        self.pid = self.ubfd.pid
        wait_until(lambda: self.ubfd.poll() is None and self.status(), 60, "ubfd to be ready")

    def start(self, name, user=None):
        """As systemd does: by a process in init_t, and with NoNewPrivileges, under which a process enters a domain only
        if a policy allows it. The program begins when it is let()."""
        words = as_service(user) if user else ()
        return self.waiting("init_t", *words, code=(START, f"/usr/sbin/{name}"))

    def waiting(self, domain, *before, code):
        process = subprocess.Popen([*before, "runcon", f"system_u:system_r:{domain}:s0", "/usr/bin/python3", "-c", *code],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), "here\n")
        return process

    @staticmethod
    def let(process):
        process.stdin.write("go\n")
        process.stdin.flush()

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def status(self):
        reply = subprocess.run([case.build / "daemon" / "ubfctl", "--json", "status"], capture_output=True, check=False)
        return json.loads(reply.stdout or "{}")

    def put(self, path, data, mode=0o644):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pathlib.Path(path).write_bytes(data)
        os.chmod(path, mode)

    def label(self, *paths, recurse=True):
        """Uses the policy's own file contexts, as an administrator does: any other label would be wrong."""
        subprocess.run(["restorecon", *(["-R"] if recurse else []), "-F", *paths], check=True)

    def test_it_does_its_work_and_nothing_is_denied_to_it(self):
        self.assertIn(":ubfd_t:", pathlib.Path(f"/proc/{self.pid}/attr/current").read_text())
        self.assertEqual(self.status()["owner_records"], "in use")
        self.assertNotIn("SELinux", str(self.status()["warnings"]))
        self.assertEqual(of_doctor("ubf.selinux"), "ok")
        self.serve(self.node, "alice", "s0:c1,c2")
        self.assertEqual(self.call(self.node, "alice", "s0", "127.0.0.1"), "welcome")
        self.assertEqual(self.call(self.node, "bob", "s0:c1,c2", "127.0.0.1"), "welcome")
        self.assertEqual(self.call(self.node, "bob", "s0:c3", "127.0.0.1"), "No route to host")
        # A job begins and ends, and its flows end with it: ubfd must write it down, look for it, and end flows in the
        # kernel.
        ubfctl = [case.build / "daemon" / "ubfctl", "job"]
        subprocess.run([*ubfctl, "begin", "--job=7", f"--uid={USERS['bob']}", "--label=physics"], check=True)
        self.assertTrue(os.path.exists("/var/lib/ubf/jobs/7"))
        client = self.program(self.node, "bob", "s0:c1,c2", CLIENT.format(address="127.0.0.1", port=PORT) +
                              "\nimport sys; sys.stdout.flush(); connection.settimeout(None)\nconnection.recv(16)\n")
        self.assertEqual(client.stdout.readline(), "welcome\n")
        self.set_rule_for_nobody()
        self.assertIn("Connection reset by peer", client.communicate(timeout=20)[0])
        self.a_portal_is_answered()
        os.kill(self.pid, signal.SIGTERM)
        self.assertEqual(self.ubfd.wait(timeout=20), 0)
        told = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout.splitlines()
        denied = [line for line in told if "avc:" in line and
                  any(f":{domain}:" in line.partition("tcontext")[0] for domain in (*DOMAINS, "httpd_t"))]
        self.assertEqual(denied, [])

    def a_portal_is_answered(self):
        for process, (name, sock) in zip(self.portals, PORTALS.items()):
            self.let(process)
            wait_until(lambda: process.poll() is not None or os.path.exists(f"/run/ubf/{sock}"), 30, f"{name}'s socket")
            self.assertIn(f":{name.replace('-', '_')}_t:", pathlib.Path(f"/proc/{process.pid}/attr/current").read_text())
        self.web_server.send_signal(signal.SIGUSR1)
        self.assertEqual(self.web_server.wait(timeout=30), 0)
        for process in self.portals:
            os.kill(process.pid, signal.SIGTERM)
            self.assertEqual(process.wait(timeout=20), 0)

    def set_rule_for_nobody(self):
        """A change of the policy ends flows that a label allowed."""
        path = pathlib.Path("/etc/ubf/ubfd.toml")
        path.write_text(self.CONFIG.replace('"alice", "bob"', ""))
        os.kill(self.pid, signal.SIGHUP)


if __name__ == "__main__":
    case.main()
