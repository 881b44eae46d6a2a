#!/usr/bin/python3
"""`ubfctl ruleset --install`, as the boot unit runs it, on a bad kernel or configuration, or over an older table. It
names whatever is missing, and the node refuses. The test needs a guest, where modules can be hidden."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import V4, V6, TwoNodes  # noqa: E402

PORT, SSH = 9001, 22
EX_OK, EX_UNAVAILABLE, EX_CONFIG = 0, 69, 78  # sysexits.h
HIDDEN = pathlib.Path("/etc/modprobe.d/ubf-lacking-test.conf")
# In an order in which the modules can be unloaded.
MODULES = ("nft_queue", "xt_NFQUEUE", "nft_compat", "nft_limit", "nft_fib_inet", "nft_reject_inet", "nft_ct")
GOOD = '[peers]\nranges = ["10.77.0.0/24", "fd77::/64"]\n[scope]\nexempt_ports = [9100]\n'


def unload(module):
    """Unloads the modules that need this one, then the module itself. Returns whether it is gone."""
    folder = pathlib.Path("/sys/module", module)
    if not folder.exists():
        return True
    gone = [unload(holder.name) for holder in (folder / "holders").iterdir()]
    return all(gone) and subprocess.run(["rmmod", module], check=False).returncode == 0


class Lacking(TwoNodes):
    def start_daemons(self):
        pass

    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: HIDDEN.unlink(missing_ok=True))
        self.addCleanup(self.two.run, "nft", "flush", "ruleset")  # the node may outlive its test
        server = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            for port in (PORT, PORT + 1, 9100):
                server.listen(protocol, "::", port)
        self.person("root", self.two).listen("tcp", "::", SSH)
        self.across, self.same = self.person("bob", self.one), self.person("bob", self.two)
        self.config = case.FOLDER / "ubfd.toml"

    def hide(self, *modules):
        """Hides these modules from the kernel, and unloads the others, so that they load again."""
        self.two.run("nft", "flush", "ruleset")
        HIDDEN.write_text("".join(f"install {module} /bin/false\n" for module in modules))
        for module in MODULES:
            if pathlib.Path("/sys/module", module).exists():
                # The kernel releases a table's modules a moment after the table.
                case.wait_until(lambda: subprocess.run(["rmmod", module], check=False).returncode == 0,  # noqa: B023
                                20, f"the end of {module}")

    def install(self, text=GOOD):
        self.config.write_text(text)
        return self.install_file(self.config)

    def install_file(self, file):
        process = self.two.start(case.build / "daemon" / "ubfctl", "ruleset", "--install", file, stderr=subprocess.PIPE)
        errors = process.communicate(timeout=300)[1]
        return process.returncode, errors

    def assert_refuses(self, ports=(PORT, PORT + 1)):
        for port in ports:
            for where, who, addresses in (("across", self.across, (V4, V6)), ("same node", self.same, (V4, "::1"))):
                for address in addresses:
                    for protocol in ("tcp", "udp"):
                        with self.subTest(f"{where} {protocol} {address} {port}"):
                            self.assertIn(who.connect(protocol, address, port, timeout=0.4),
                                          ("EHOSTUNREACH", "EACCES", "timeout"))
        # Nobody is locked out.
        self.assertEqual(self.across.connect("tcp", V4, SSH, timeout=10), "connected")

    def assert_exempt_port_is_open(self):
        self.assertEqual(self.across.connect("tcp", V4, 9100, timeout=10), "connected")

    def test_a_kernel_that_has_everything(self):
        self.hide()
        self.assertEqual(self.install(), (EX_OK, ""))
        self.assert_refuses()
        self.assert_exempt_port_is_open()

    def test_whatever_module_is_missing_is_named_and_the_node_refuses(self):
        for missing, named in (
                (("nft_ct",), "nft_ct"),
                (("nft_reject_inet",), "nft_reject_inet"),
                (("nft_fib_inet",), "nft_fib_inet"),
                (("nft_limit",), "nft_limit"),
                (("nft_queue", "nft_compat"), "nft_queue"),
                (MODULES, "nft_ct")):
            with self.subTest(missing):
                self.hide(*missing)
                found, errors = self.install()
                self.assertEqual(found, EX_UNAVAILABLE, errors)
                self.assertIn(named, errors)
                self.assertIn("modprobe", errors)
                self.assert_refuses(ports=(PORT,))
                self.assert_exempt_port_is_open()
                self.assertEqual("NOTHING" in errors, False, errors)
        # When the modules are back, the next installation is whole.
        self.hide()
        self.assertEqual(self.install(), (EX_OK, ""))
        self.assertIn("ubf:gate:queue", self.two.run("nft", "list", "table", "inet", "ubf"))

    def test_a_site_that_prefers_an_open_node_gets_one(self):
        self.hide("nft_ct")
        found, errors = self.install(GOOD + '[ruleset]\nwithout_daemon = "allow"\n')
        self.assertEqual(found, EX_UNAVAILABLE, errors)
        self.assertEqual(self.across.connect("tcp", V4, PORT, timeout=10), "connected")

    def test_a_table_of_that_name_that_is_somebody_elses(self):
        self.hide()
        self.two.run("nft", "add table inet ubf; add chain inet ubf gate { type filter hook output priority 0; }; "
                            "add chain inet ubf verdict { type filter hook forward priority 7; }")
        found, errors = self.install()
        self.assertEqual(found, EX_UNAVAILABLE)
        self.assertIn("gate", errors)
        self.assert_refuses()
        self.assert_exempt_port_is_open()
        # This is the last resort, and the whole ruleset replaces it.
        self.assertIn("last_resort", self.two.run("nft", "list", "table", "inet", "ubf"))
        self.assertEqual(self.install(), (EX_OK, ""))
        self.assertNotIn("last_resort", self.two.run("nft", "list", "table", "inet", "ubf"))

    def test_a_configuration_that_is_bad(self):
        for missing in ((), ("nft_ct", "nft_reject_inet")):
            for text in ("[pears]\n", "\x00\xff = [", '[peers]\nranges = ["nonsense"]\n', "[queue]\ncount = 99999\n"):
                with self.subTest(f"{missing} {text!r}"):
                    self.hide(*missing)
                    found, errors = self.install(text)
                    self.assertEqual(found, EX_CONFIG, errors)
                    self.assertTrue(all(module in errors for module in missing), errors)
                    self.assert_refuses(ports=(PORT,))
        for file in ("/nowhere/ubfd.toml", "/etc"):
            with self.subTest(file):
                self.hide()
                found, errors = self.install_file(file)
                self.assertEqual(found, EX_CONFIG, errors)
                self.assert_refuses(ports=(PORT,))

    def test_names_and_interfaces_that_are_not_there_yet(self):
        self.hide()
        text = '[policy]\nexempt_connectors = ["nobody-of-that-name"]\n[scope]\ninterfaces = ["eth0", "lo", "not-yet0"]\n'
        self.assertEqual(self.install(text), (EX_OK, ""))
        self.assert_refuses(ports=(PORT,))

    def test_where_there_is_no_nf_tables_it_says_that_nothing_is_refused(self):
        self.hide(*MODULES)
        HIDDEN.write_text(HIDDEN.read_text() + "install nf_tables /bin/false\n")
        # The kernel releases a table's modules a moment after the table.
        case.wait_until(lambda: unload("nf_tables"), 20, "the end of nf_tables")
        try:
            found, errors = self.install()
            self.assertEqual(found, EX_UNAVAILABLE)
            self.assertIn("NOTHING IS REFUSED", errors)
            self.assertIn("nf_tables", errors)
        finally:
            HIDDEN.unlink()
            subprocess.run(["modprobe", "nf_tables"], check=True)


if __name__ == "__main__":
    case.main()
