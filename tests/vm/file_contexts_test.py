#!/usr/bin/python3
"""The label of each of ubf's files under the policy that vm.policy made: Debian's, with ubf's module in it. If a
pattern of Debian's came first, a file would get Debian's label, and ubfd would be unconfined. Needs no guest."""

import argparse
import pathlib
import re
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "systemd" / "selinux" / "ubf.fc"
build = None

PLACES = {
    "/usr/sbin/ubfd": ("file", "ubfd_exec_t"),
    "/usr/local/sbin/ubfd": ("file", "ubfd_exec_t"),
    "/usr/sbin/ubf-rdmad": ("file", "ubf_rdmad_exec_t"),
    "/usr/local/sbin/ubf-rdmad": ("file", "ubf_rdmad_exec_t"),
    "/usr/sbin/ubf-portal": ("file", "ubf_portal_exec_t"),
    "/usr/local/sbin/ubf-portal": ("file", "ubf_portal_exec_t"),
    "/usr/sbin/ubf-connect": ("file", "ubf_connect_exec_t"),
    "/usr/local/sbin/ubf-connect": ("file", "ubf_connect_exec_t"),
    "/etc/ubf": ("dir", "ubfd_etc_t"),
    "/etc/ubf/ubfd.toml": ("file", "ubfd_etc_t"),
    "/etc/ubf/ident.key": ("file", "ubfd_etc_t"),
    "/run/ubf": ("dir", "ubfd_var_run_t"),
    "/run/ubf/control": ("sock_file", "ubfd_var_run_t"),
    "/var/run/ubf/control": ("sock_file", "ubfd_var_run_t"),
    "/run/ubf/portal.sock": ("sock_file", "ubfd_var_run_t"),
    "/run/ubf/portal": ("dir", "ubf_portal_var_run_t"),
    "/run/ubf/portal/http.sock": ("sock_file", "ubf_portal_var_run_t"),
    "/run/ubf/connect": ("dir", "ubf_connect_var_run_t"),
    "/run/ubf/connect/1001/10.0.0.7_8888": ("sock_file", "ubf_connect_var_run_t"),
    "/var/lib/ubf": ("dir", "ubfd_var_lib_t"),
    "/var/lib/ubf/jobs": ("dir", "ubfd_var_lib_t"),
    "/var/lib/ubf/jobs/7": ("file", "ubfd_var_lib_t"),
}
MODES = {"file": "file", "dir": "dir", "sock_file": "socket"}


class FileContexts(unittest.TestCase):
    def label(self, kind, path):
        contexts = build / "selinux" / "root" / "etc" / "selinux" / "default" / "contexts" / "files" / "file_contexts"
        line = subprocess.run(["matchpathcon", "-n", "-m", MODES[kind], "-f", contexts, path],
                              capture_output=True, text=True, check=True).stdout
        return line.strip().split(":")[2]

    def test_each_place_has_the_label_that_the_module_gives_it(self):
        for path, (kind, expected) in PLACES.items():
            with self.subTest(path):
                self.assertEqual(self.label(kind, path), expected)

    def test_no_line_of_the_module_is_without_a_place_here(self):
        for line in SOURCE.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"(/\S+)\s", line):
                with self.subTest(match[1]):
                    self.assertTrue(any(re.fullmatch(match[1], path) for path in PLACES))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    options, rest = parser.parse_known_args()
    build = options.build.resolve()
    if not (build / "selinux" / "root").exists():
        print("file_contexts_test: there is no policy; vm.policy says why", file=sys.stderr)
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
