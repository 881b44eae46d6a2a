#!/usr/bin/python3
"""The Debian packages, from their installation to their purge. Run this as a service in a guest that has a root file
system of its own (see root). The guest is node2. The "build tree" is a folder with the packages of this version, and with a folder
`older` that has those of an older one."""

import collections
import concurrent.futures
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, load  # noqa: E402
from lab.case import V4, wait_until  # noqa: E402
from installed import CONFIG, PORT, Systemd, is_ready, journal, pid, property_of, run, table  # noqa: E402

KEY = pathlib.Path("/etc/ubf/ident.key")
# Folders that others fill: dpkg's own memory, logs, and systemd's state.
OTHERS = ("/dev", "/machine", "/proc", "/root", "/run", "/sys", "/tmp", "/var/cache", "/var/lib/dpkg", "/var/lib/systemd",
          "/var/log", "/var/tmp")


def files():
    """Every file of the guest's that a package could leave behind."""
    prune = [word for folder in OTHERS for word in ("-path", folder, "-o")][:-1]
    return set(run("find", "/", "(", *prune, ")", "-prune", "-o", "-print").splitlines())


def dpkg(*words):
    return run("dpkg", *words)


def of(folder, *names):
    return [next(folder.glob(f"{name}_*.deb")) for name in names]


def version():
    return run("dpkg-query", "-W", "-f", "${Version}", "ubf")


def edit(old, new):
    text = CONFIG.read_text()
    assert old in text, text
    CONFIG.write_text(text.replace(old, new))


class Packages(Systemd):
    @classmethod
    def setUpClass(cls):
        cls.before, cls.packages = files(), case.build
        cls.said = dpkg("-i", *of(cls.packages / "older", "ubf", "ubf-rdmad", "ubf-slurm"))
        # node1 has the programs for good, whatever becomes of the packages.
        case.build = pathlib.Path("/root/build")
        (case.build / "daemon").mkdir(parents=True)
        shutil.copy("/usr/sbin/ubfd", case.build / "daemon")

    def setUp(self):
        pass  # no ubfd runs yet

    def test_from_installation_to_purge(self):
        steps = (self.it_does_nothing_yet, self.it_observes_as_the_readme_says, self.it_enforces,
                 self.an_upgrade_loses_no_connection, self.nor_does_a_downgrade_open_the_node,
                 self.nothing_runs_after_removal, self.the_settings_come_back_with_it, self.a_purge_leaves_nothing)
        for step in steps:
            print(f"  {step.__name__.replace('_', ' ')}", flush=True)
            step()

    def it_does_nothing_yet(self):
        self.assertEqual((property_of("ubfd", "ActiveState"), property_of("ubfd", "UnitFileState")),
                         ("inactive", "disabled"))
        self.assertEqual(table(), "")
        self.assertNotIn("rror", self.said)
        self.assertIn("commit ", run("ubfd", "--version"))
        self.assertIn("ubf-rdmad", run("ubf-rdmad", "--version"))
        self.assertTrue(list(pathlib.Path("/usr/lib").glob("*/slurm-wlm/ubf.so")))

    def it_observes_as_the_readme_says(self):
        run("ubfctl", "keygen")
        edit("ranges = []", f"ranges = {case.PEERS!r}".replace("'", '"'))
        run("ubfctl", "check-config")
        said = subprocess.run(["systemctl", "enable", "--now", "ubfd"], capture_output=True, text=True, check=True)
        self.assertNotIn("Failed", said.stderr)
        wait_until(is_ready, 60, "ubfd to be ready")
        Systemd.setUpClass.__func__(type(self))  # node1, with the key
        self._people = []
        self.person("alice", self.two, descriptors=1 << 18).listen("tcp", "0.0.0.0", PORT, backlog=1024)
        self.alice, self.bob = (self.person(user, self.one) for user in ("alice", "bob"))
        self.person("alice", self.one).listen("tcp", "0.0.0.0", PORT)
        self.back = [self.person(user, self.two) for user in ("alice", "bob")]
        self.assertEqual(self.bob.connect("tcp", V4, PORT, timeout=10), "connected")
        wait_until(lambda: "bob" in run("ubfctl", "report"), 30, "the report to name bob")

    def it_enforces(self):
        edit('mode = "observe"', 'mode = "enforce"')
        run("systemctl", "reload", "ubfd")
        self.assert_judges()
        self.assertEqual(property_of("ubf-rdmad", "UnitFileState"), "enabled")

    def replace(self, folder):
        """Installs other packages over those that are there."""
        old, was = version(), pid()
        dpkg("-i", *of(folder, "ubf", "ubf-rdmad", "ubf-slurm"))
        wait_until(lambda: is_ready() and pid() != was, 60, "the new ubfd to be ready")
        self.assertNotEqual(version(), old)
        self.assertIn('mode = "enforce"', CONFIG.read_text())

    def an_upgrade_loses_no_connection(self):
        seen = collections.Counter()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            task = pool.submit(self.replace, self.packages)
            while not task.done():
                seen.update(self.alice.do(load.connect_steadily, V4, PORT, 200, 5))
        task.result()
        print(f"    {seen.total()} connections meanwhile", flush=True)
        self.assertEqual(set(seen), {"connected"}, journal())
        self.assertEqual(version(), run("dpkg-deb", "-f", *of(self.packages, "ubf"), "Version").strip())
        self.assert_judges()
        # node1's ubfd, which is the older one, has asked and been asked.
        self.assertEqual([each.connect("tcp", "10.77.0.1", PORT, timeout=10) for each in self.back],
                         ["connected", "EHOSTUNREACH"])

    def nor_does_a_downgrade_open_the_node(self):
        self.replace(self.packages / "older")
        self.assert_judges()

    def nothing_runs_after_removal(self):
        dpkg("-r", "ubf-slurm", "ubf-rdmad", "ubf")
        self.assertEqual(table(), "")
        self.assertEqual((property_of("ubfd", "LoadState"), property_of("ubfd", "MainPID")), ("not-found", "0"))
        self.assertEqual(self.bob.connect("tcp", V4, PORT, timeout=10), "connected")
        self.assertTrue(KEY.exists() and CONFIG.exists())

    def the_settings_come_back_with_it(self):
        dpkg("-i", *of(self.packages, "ubf", "ubf-rdmad"))
        run("systemctl", "enable", "--now", "ubfd")
        wait_until(is_ready, 60, "ubfd to be ready")
        self.assert_judges()

    def a_purge_leaves_nothing(self):
        dpkg("-P", "ubf-slurm", "ubf-rdmad", "ubf")
        self.assertEqual(table(), "")
        run("getent", "passwd", "ubf", status=2)
        left = {name for name in files() - self.before if "/__pycache__" not in name}
        self.assertEqual(left - self.of_the_test(), set())

    @staticmethod
    def of_the_test():
        """Users are added by the test, which changes no name of a file, but their databases have a copy each."""
        return {f"/etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")}


if __name__ == "__main__":
    case.main(private=False)
