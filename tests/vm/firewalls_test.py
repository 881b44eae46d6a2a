#!/usr/bin/python3
"""ubf beside other programs that write rules, as Debian installs them: firewalld, Docker, podman, fail2ban, and
iptables of both kinds. Run this as systemd_test.py."""

import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import CLOSED, PEERS, V4, wait_until  # noqa: E402
from installed import CONFIG, LAST_GOOD, PORT, ROOT, Systemd, is_ready, journal, pid, property_of  # noqa: E402
from installed import read_meanwhile, run, table  # noqa: E402

# An echo server in a container, with this machine's programs and an empty root directory of its own.
ECHO = """import socket, threading
listener = socket.create_server(("0.0.0.0", {port}))
def serve(sock):
    while data := sock.recv(100):
        sock.sendall(data)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
HERE = "10.77.0.1"  # node1's address, where connectors are
PUBLISHED, INSIDE, OF_HOST, ROOTLESS = 8080, 8000, 8001, 8002


def unmask(*units):
    """The guest boots with these units masked."""
    for unit in units:
        pathlib.Path("/etc/systemd/system", unit).unlink(missing_ok=True)
    run("systemctl", "daemon-reload")


def make_root(folder):
    for place in ("usr", "tmp", "proc", "dev", "sys", "etc", "run"):
        (folder / place).mkdir(parents=True)
    for link in ("bin", "lib", "lib64", "sbin"):
        (folder / link).symlink_to(f"usr/{link}")
    return folder


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


class Beside(Systemd):
    def others(self):
        return run("ubfctl", "status")

    def assert_judges_both_ways(self):
        self.assert_judges()
        listener = self.person("alice", self.one)
        listener.listen("tcp", "0.0.0.0", PORT)
        for user, seen in (("alice", "connected"), ("bob", "EHOSTUNREACH")):
            self.assertEqual(self.person(user, self.two).connect("tcp", HERE, PORT, timeout=10), seen)
        self.dismiss(listener)


class Firewalld(Beside):
    def setUp(self):
        super().setUp()
        unmask("firewalld.service")
        run("systemctl", "start", "firewalld")
        self.addCleanup(run, "systemctl", "stop", "firewalld")

    def test_firewalld(self):
        # firewalld itself refuses at first, and ubfd names it.
        wait_until(lambda: self.alice.connect("tcp", V4, PORT, timeout=2) != "connected", 30)
        wait_until(lambda: "chain filter_INPUT of table inet firewalld" in self.others(), 5)

        # The nodes are in its trusted zone.
        run("firewall-cmd", "--zone=trusted", *(f"--add-source={peers}" for peers in PEERS))
        self.assert_judges_both_ways()
        older = self.alice.connect("tcp", V4, PORT)
        run("systemctl", "restart", "firewalld")
        wait_until(lambda: self.alice.connect("tcp", V4, PORT, timeout=2) != "connected", 30)
        self.assertIn("table inet ubf", table())
        self.assertEqual(self.alice.say(older.handle), "hello")

        # Alternatively, the ports and ident's port are open.
        shutil.copy(ROOT / "packaging" / "firewalld" / "ubf.xml", "/etc/firewalld/services/")
        run("firewall-cmd", "--permanent", "--add-port=1024-65535/tcp")
        run("firewall-cmd", "--reload")
        run("firewall-cmd", "--add-service=ubf")
        run("conntrack", "-F")
        self.assert_judges_both_ways()


class Docker(Beside):
    def setUp(self):
        super().setUp()
        for place in ("/var/lib/docker", "/var/lib/containerd"):
            pathlib.Path(place).mkdir(exist_ok=True)
            run("mount", "-t", "tmpfs", "tmpfs", place)
        unmask("docker.service", "docker.socket", "containerd.service")
        run("systemctl", "start", "docker")
        self.addCleanup(run, "systemctl", "stop", "docker.socket", "docker", "containerd")
        root = make_root(pathlib.Path("/run/ubf-image"))
        run("sh", "-c", f"tar -C {root} -c . | docker import - box")

    def serve(self, port, *options):
        run("docker", "run", "-d", "--security-opt", "apparmor=unconfined", "-v", "/usr:/usr:ro", *options, "box",
            "/usr/bin/python3", "-c", ECHO.format(port=port))

    def test_docker(self):
        self.assert_judges_both_ways()
        self.serve(INSIDE, "-p", f"{PUBLISHED}:{INSIDE}")
        self.serve(OF_HOST, "--network", "host", "--user", str(case.USERS["alice"]))
        # A container's published port is forwarded, so ubfd doesn't judge it. On the node itself it is root's.
        for someone in (self.alice, self.bob):
            wait_until(lambda who=someone: who.connect("tcp", V4, PUBLISHED) == "connected", 10)
        self.assertEqual(self.person("bob", self.two).connect("tcp", "127.0.0.1", PUBLISHED), "EHOSTUNREACH")
        # A container in the host's network belongs to the user of its uid.
        wait_until(lambda: self.alice.connect("tcp", V4, OF_HOST) == "connected", 10)
        self.assertEqual(self.bob.connect("tcp", V4, OF_HOST), "EHOSTUNREACH")
        self.assert_judges_both_ways()


class Podman(Beside):
    def test_podman_without_privileges(self):
        """The container's uids are subordinate uids of alice's."""
        user = case.USERS["alice"]
        for file in ("/etc/subuid", "/etc/subgid"):
            pathlib.Path(file).write_text("alice:700000:65536\n")
        home = pathlib.Path("/run/ubf-alice")
        home.mkdir()
        root = make_root(home / "root")
        run("chown", "-hR", f"{user}:{user}", home)
        self.begin(home, root)

        def told_by_name():  # the first line doesn't wait for the user database
            self.assertEqual(self.alice.connect("tcp", V4, ROOTLESS), "EHOSTUNREACH")
            return "listener=alice's(700999)" in run("journalctl", "-b", "-t", "ubfd", "-o", "cat")

        wait_until(told_by_name, 20, lambda: f"a line with alice's name: {run('journalctl', '-b', '-t', 'ubfd', '-n', 20)}")
        before = CONFIG.read_text(encoding="utf-8")
        self.addCleanup(run, "systemctl", "reload", "ubfd")
        self.addCleanup(CONFIG.write_text, before)
        CONFIG.write_text(before + "\n[policy]\nsubids = true\n")
        run("systemctl", "reload", "ubfd")
        self.assertEqual(self.alice.connect("tcp", V4, ROOTLESS), "connected")
        self.assertEqual(self.bob.connect("tcp", V4, ROOTLESS), "EHOSTUNREACH")

    def begin(self, home, root):
        environment = ["env", f"HOME={home}", f"XDG_RUNTIME_DIR={home}"]
        words = [*environment, "podman", "--cgroup-manager=cgroupfs", "run", "--rm", "--cgroups=disabled", "--network=host",
                 "--user=1000:1000", "-v", "/usr:/usr:ro", "--rootfs", root, "/usr/bin/python3", "-c", ECHO.format(port=ROOTLESS)]
        with (home / "log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(["runuser", "-u", "alice", "--", *map(str, words)], stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(run, "pkill", "-KILL", "-u", str(700999))

        def listens():
            assert process.poll() is None, (home / "log").read_text(encoding="utf-8")
            return f":{ROOTLESS} " in run("ss", "-Hltn")

        wait_until(listens, 60, lambda: f"podman to listen: {(home / 'log').read_text(encoding='utf-8')}")


class Others(Beside):
    def test_iptables_legacy(self):
        rule = ("INPUT", "-p", "tcp", "--dport", PORT, "-j", "REJECT")
        run("iptables-legacy", "-A", *rule)
        self.assertEqual(self.alice.connect("tcp", V4, PORT), CLOSED)
        self.assertIn("iptables-legacy has tables (filter)", self.others())
        run("iptables-legacy", "-D", *rule)
        self.assert_judges_both_ways()

    def test_iptables_of_nftables(self):
        rule = ("INPUT", "-p", "tcp", "--dport", PORT, "-j", "REJECT")
        run("iptables-nft", "-A", *rule)
        self.assertEqual(self.alice.connect("tcp", V4, PORT), CLOSED)
        wait_until(lambda: "chain INPUT of table ip filter" in self.others(), 5)
        run("iptables-nft", "-D", *rule)
        self.assert_judges_both_ways()

    def test_fail2ban(self):
        pathlib.Path("/etc/fail2ban/jail.local").write_text(
            "[DEFAULT]\nbanaction = nftables[type=allports]\n[sshd]\nenabled = true\nbackend = polling\n"
            "logpath = /run/auth.log\n", encoding="utf-8")
        pathlib.Path("/run/auth.log").touch()
        unmask("fail2ban.service")
        run("systemctl", "start", "fail2ban")
        self.addCleanup(run, "systemctl", "stop", "fail2ban")
        wait_until(lambda: subprocess.run(["fail2ban-client", "ping"], capture_output=True, check=False).returncode == 0, 20)
        self.assert_judges_both_ways()
        run("fail2ban-client", "set", "sshd", "banip", HERE)
        wait_until(lambda: self.alice.connect("tcp", V4, PORT, timeout=2) != "connected", 10)
        wait_until(lambda: "chain f2b-chain of table inet f2b-table" in self.others(), 5)
        run("fail2ban-client", "set", "sshd", "unbanip", HERE)
        wait_until(lambda: self.alice.connect("tcp", V4, PORT, timeout=2) == "connected", 10)
        self.assert_judges_both_ways()


if __name__ == "__main__":
    case.main(private=False)
