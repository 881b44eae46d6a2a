#!/usr/bin/python3
"""README's first commands, as a newcomer types them: in a Debian 12 that has git and sudo and nothing else of ours, in a
path with spaces."""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab.plain import take_build  # noqa: E402

TREE = pathlib.Path(__file__).resolve().parents[2]
ENDS = "19 of 19 as they should be"

# Run in the root as its administrator, who makes a newcomer.
STEPS = """set -eu
useradd --create-home newcomer
echo 'newcomer ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/newcomer
runuser -u newcomer -- sh -euc '
    git config --global --add safe.directory "*"
    git clone --quiet /tree "$HOME/my clusters/ubf"
    cd "$HOME/my clusters/ubf"
    COMMANDS
    echo "of root: $(find . -user root | wc -l)"
    echo "changed: $(git status --porcelain | wc -l)"
' < /dev/null
echo "namespaces: $(ip netns list | wc -l)"
"""


def readmes_commands():
    text = (TREE / "README.md").read_text(encoding="utf-8")
    return re.search(r"## Try it\n\n.*?\n\n((?:    .*\n)+)", text)[1].split("\n")


class Newcomer(unittest.TestCase):
    def test_the_commands_of_the_readme_run_in_a_bare_debian(self):
        commands = [line.strip() for line in readmes_commands() if line.strip()]
        self.assertEqual([line.split()[0] for line in commands], ["sudo", "sudo"])
        steps = STEPS.replace("COMMANDS", "\n    ".join(commands))
        # The tree may be another user's, and a clone hands no option on to the process that reads it.
        clone = f"""git config --file "$1/git" safe.directory "*"
            GIT_CONFIG_GLOBAL="$1/git" git clone --quiet --bare {shlex.quote(str(TREE))} "$1/tree" """
        hooks = ['mkdir "$1/tree"', 'cp /etc/hosts "$1/etc/hosts"', clone,
                 f'mount --rbind "$1" "$1" && chroot "$1" sh -c {shlex.quote(steps)} && umount -R "$1"']
        made = subprocess.run(
            ["unshare", "--mount", TREE / "packaging" / "bookworm", "-", "--variant=minbase", "--format=null",
             "--include=git,sudo,ca-certificates", *[f"--customize-hook={hook}" for hook in hooks]],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=1500)
        self.assertEqual(made.returncode, 0, made.stdout[-5000:])
        for line in (ENDS, "of root: 0", "changed: 0", "namespaces: 0"):
            self.assertIn(line + "\n", made.stdout, made.stdout[-5000:])


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit(77)
    take_build()
    unittest.main(verbosity=2)
