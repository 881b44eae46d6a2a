"""ubfd where file systems keep nothing, can't be written, or hang, and a site that imports the ruleset itself."""

import json
import pathlib
import re
import shutil
import subprocess

from lab import case
from lab.case import V4, wait_until
from installed import CONFIG, EX_UNAVAILABLE, LAST_GOOD, PORT, ROOT, Systemd, assert_logged, journal, property_of
from installed import run, table


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
