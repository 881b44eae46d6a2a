#!/usr/bin/python3
"""The recipes for images of nodes are well formed, and do what docs/images.md says, as far as this machine can tell."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab.plain import need, take_build  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
build = None  # the build tree


def run(*words, **how):
    return subprocess.run(words, capture_output=True, text=True, check=False, **how)


class Recipes(unittest.TestCase):
    def good(self, *words, **how):
        done = run(*words, **how)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_the_ansible_role_has_no_fault(self):
        need("ansible-lint", "ansible-playbook")
        folder = PACKAGING / "ansible"
        with tempfile.TemporaryDirectory() as home:
            where = {**os.environ, "HOME": home, "ANSIBLE_HOME": home, "XDG_CACHE_HOME": home, "NO_COLOR": "1"}
            self.good("ansible-lint", "--offline", "--project-dir", folder, "ubf.yml", "roles", cwd=folder, env=where)
            self.good("ansible-playbook", "--syntax-check", "-i", "localhost,", "ubf.yml", cwd=folder, env=where)

    def test_the_cloud_config_is_valid_and_has_no_key(self):
        path = PACKAGING / "cloud-init" / "ubf.yaml"
        import yaml  # pylint: disable=import-outside-toplevel # of ansible-lint's package
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.assertEqual([file["path"] for file in config["write_files"]], ["/etc/ubf/ubfd.toml.d/00-site.toml"])
        for command in config["runcmd"]:
            if command[0] == "sh":
                self.good("sh", "-n", "-c", command[2])
        if shutil.which("cloud-init"):
            self.good("cloud-init", "schema", "-c", path)
        settings = run(build / "daemon" / "ubfctl", "check-config", "/dev/stdin", input=config["write_files"][0]["content"])
        self.assertEqual(settings.returncode, 0, settings.stderr)

    def test_the_postscript_puts_the_key_for_root_alone_and_keeps_it_if_the_next_does_not_come(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "ubf.d").mkdir()
            shutil.copy(PACKAGING / "xcat" / "ubf", folder)
            (folder / "ubf.d" / "site.toml").write_text("[policy]\nmode = \"observe\"\n")
            root = folder / "root"

            def script(command):
                (folder / "ubf.d" / "site.env").write_text(f"UBF_KEY_COMMAND='{command}'\n" if command else "")
                return run("sh", folder / "ubf", env={"PATH": os.environ["PATH"], "UBF_ROOT": str(root)})

            self.assertIn("UBF_KEY_COMMAND is not set", script("").stderr)
            self.assertEqual(script("echo first").returncode, 0)
            key = root / "etc" / "credstore" / "ident.key"
            self.assertEqual(key.read_text(), "first\n")
            self.assertEqual(key.stat().st_mode & 0o777, 0o600)
            self.assertEqual(key.parent.stat().st_mode & 0o777, 0o700)
            self.assertIn("observe", (root / "etc/ubf/ubfd.toml.d/00-site.toml").read_text())
            for command in ("false", "true", "echo half; exit 1"):
                self.assertEqual(script(command).returncode, 1, command)
                self.assertEqual([file.read_text() for file in key.parent.iterdir()], ["first\n"], command)

    def test_scripts_and_units_have_no_fault(self):
        need("shellcheck", "systemd-analyze")
        self.good("shellcheck", PACKAGING / "xcat" / "ubf")
        units = PACKAGING / "warewulf" / "ubf" / "rootfs" / "etc" / "systemd" / "system"
        self.good("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", units / "ubf-key.service")


if __name__ == "__main__":
    build = take_build()
    unittest.main(verbosity=2)
