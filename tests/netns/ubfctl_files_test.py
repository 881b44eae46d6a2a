#!/usr/bin/python3
"""The files that ubfctl checks and writes."""

import json
import os
import pathlib
import re
import stat
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import PEERS  # noqa: E402
from lab.ubfctl import Ubfctl  # noqa: E402

EX_USAGE, EX_CANTCREAT, EX_CONFIG = 64, 73, 78  # sysexits.h


class Files(Ubfctl):
    def start_daemons(self):
        pass  # none of these needs a daemon

    def run_with(self, text, *words, status=0):
        file = case.FOLDER / "some.toml"
        file.write_text(text)
        return self.ubfctl(*words, file, status=status, socket=False)

    def test_check_config_says_whether_it_is_good(self):
        self.assertIn("good", self.run_with(f"[peers]\nranges = {json.dumps(PEERS)}\n", "check-config"))
        self.assertIn("some.toml:2:10: peers.ranges", self.run_with(
            '[peers]\nranges = "10.0.0.0/8"\n', "check-config", status=EX_CONFIG))

    def test_check_config_reads_the_key(self):
        good, link, bad, open_to_all = (case.FOLDER / f"{name}.key" for name in ("good", "link", "bad", "open"))
        self.ubfctl("keygen", good, socket=False)
        link.symlink_to(good)
        bad.write_text("ubf-key-1 1234\n")
        bad.chmod(0o600)
        open_to_all.write_text(good.read_text())
        open_to_all.chmod(0o644)

        def check(key, **options):
            return self.run_with(f'[peers]\nranges = {json.dumps(PEERS)}\n[ident]\nkey_file = "{key}"\n', "check-config",
                                 **options)

        self.assertNotIn("warning", check(good))
        self.assertIn("without it ubfd does not start", check(case.FOLDER / "none.key"))
        for key, words in ((link, "a symbolic link"), (bad, "bad.key:1: not a key"), (open_to_all, "lets others in")):
            self.assertIn(words, check(key, status=EX_CONFIG))

    def test_check_config_warns_of_labels_that_this_node_cannot_have(self):
        said = self.run_with(f"[peers]\nranges = {json.dumps(PEERS)}\n[labels]\nselinux = true\n", "check-config")
        self.assertEqual("SELinux is not enabled" in said, not pathlib.Path("/sys/fs/selinux").exists(), said)

    def test_check_config_names_all_mistakes_at_once(self):
        file = case.FOLDER / "some.toml"
        file.write_text("[scope]\nports = [70000, 80]\n[log]\nfold_s = 0\n")

        def check(*words):
            process = self.two.start(case.build / "daemon" / "ubfctl", *words, "check-config", file,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            output, errors = process.communicate(timeout=20)
            self.assertEqual(process.returncode, EX_CONFIG)
            return output or errors

        lines = check().splitlines()
        self.assertEqual([line.split(f"ubfctl: {file}:")[1].split(":")[0] for line in lines], ["2", "4"])
        self.assertEqual([f"ubfctl: {line}" for line in json.loads(check("--json"))["mistakes"]], lines)

    def test_check_config_as_json(self):
        self.assertTrue(json.loads(self.run_with("", "check-config", "--json"))["ok"])
        process = self.two.start(case.build / "daemon" / "ubfctl", "--json", "check-config", "/nowhere",
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        answer = json.loads(process.communicate()[0])
        self.assertEqual((process.returncode, answer["ok"]), (EX_CONFIG, False))
        self.assertIn("/nowhere", answer["error"])

    def test_ruleset_prints_what_nft_takes_but_for_the_queue_that_this_kernel_lacks(self):
        text = self.run_with(f"[peers]\nranges = {json.dumps(PEERS)}\n[queue]\ncount = 2\n", "ruleset")
        self.assertIn("define queues = 0-1", text)
        lines = [line.replace("queue flags bypass,fanout to $queues", "counter") for line in text.splitlines()]
        file = case.FOLDER / "ubf.nft"
        file.write_text("\n".join(lines))
        for _ in range(2):  # the second time, the table exists
            self.two.run("nft", "-f", file)
        listed = self.two.run("nft", "list", "table", "inet", "ubf")
        self.assertIn('comment "ubf:verdict:no_verdict"', listed)

    def test_what_ubfd_installs_is_what_ruleset_prints(self):
        """nft lists both, and the test compares all but the queue rule."""
        settings = {"peers": {"ranges": PEERS}, "scope": {"exempt_ports": [8080], "interfaces": ["lo", "eth0"]}}
        ubfd = self.start_ubfd(self.two, settings)
        listing = ("nft", "--stateless", "list", "table", "inet", "ubf")
        installed = self.two.run(*listing)
        text = self.ubfctl("ruleset", ubfd.config, socket=False)
        ubfd.stop()
        file = case.FOLDER / "ubf.nft"
        file.write_text(re.sub(r"queue flags bypass(,fanout)? to \$queues", "counter", text))
        self.two.run("nft", "-f", file)
        imported = self.two.run(*listing)
        self.assertEqual(self.comparable(installed), self.comparable(imported))

    @staticmethod
    def comparable(listing):
        """Drops nft's remarks about xt NFQUEUE, since nft has no syntax for it."""
        return [line for line in listing.splitlines()
                if "ubf:gate:queue" not in line and not re.search("^# Warning|libxtables|XT target", line)]

    def test_keygen_makes_a_key_that_is_its_owners_alone(self):
        file = case.FOLDER / "new.key"
        os.umask(0)
        self.assertIn("copy it to every node", self.ubfctl("keygen", file, socket=False))
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        first = file.read_text()
        self.assertRegex(first, r"^ubf-key-1 [0-9a-f]{64}\n$")
        self.assertIn("left as it is", self.ubfctl("keygen", file, socket=False, status=EX_CANTCREAT))
        self.assertEqual(file.read_text(), first)
        other = case.FOLDER / "other.key"
        self.ubfctl("keygen", other, socket=False)
        self.assertNotEqual(other.read_text(), first)

    def test_help_names_every_command(self):
        text = self.ubfctl("--help", socket=False)
        for command in ("status", "explain", "check-config", "ruleset", "keygen", "--json", "--socket"):
            self.assertIn(command, text)

    def test_commands_that_it_does_not_know(self):
        self.assertIn("no command 'frobnicate'", self.ubfctl("frobnicate", socket=False, status=EX_USAGE))
        self.assertIn("which command?", self.ubfctl(socket=False, status=EX_USAGE))
        for words in (["status", "x"], ["ruleset", "--instal"], ["ruleset", "a", "b"], ["check-config", "--jsn"],
                      ["check-config", "a", "b"], ["keygen", "--force"], ["flows", "--us", "alice"], ["job", "end", "--jo", "1"],
                      ["explain", "--from", "10.0.0.1:1", "--t", "10.0.0.2:2"], ["explain", "x"]):
            with self.subTest(words):
                self.assertIn("ubfctl --help", self.ubfctl(*words, socket=False, status=EX_USAGE))
        self.assertEqual(self.two.run("nft", "list", "tables"), "")


if __name__ == "__main__":
    case.main()
