#!/usr/bin/python3
"""`ubfctl node`, `ubfctl ca` and `ubfctl grant` in a folder of their own: the authority's work, from its key to a
roster, and what it refuses."""

import base64
import json
import os
import pathlib
import pty
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab.person import wait_until  # noqa: E402
from lab.plain import take_build  # noqa: E402

BUILD = take_build()
EX_USAGE, EX_CANTCREAT = 64, 73
SLURM_CONF = "ClusterName=c\nSlurmctldHost=n1(10.9.0.1)\nNodeName=n[1-3] NodeAddr=10.9.0.[1-3] CPUs=1\n"


class Authority(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.write("passphrase", "correct horse\n")
        cls.authority = cls.ca("init").strip()

    @classmethod
    def write(cls, name, text):
        """Writes a file that others can't read."""
        path = cls.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    @classmethod
    def ubfctl(cls, *words, status=0, **options):
        ended = subprocess.run([BUILD / "daemon" / "ubfctl", *words], cwd=cls.folder, capture_output=True, text=True,
                               timeout=60, check=False, **options)
        assert ended.returncode == status, (words, ended)
        return ended.stdout if status in (0, 1) else ended.stderr

    @classmethod
    def ca(cls, *words, passphrase="passphrase", **options):
        return cls.ubfctl(*(("--json",) if words == ("list",) else ()), "ca", *words, "--ca", "ca", "--passphrase-file",
                          passphrase, **options)

    def request(self, name, *words, key=None):
        """Makes a key, and a request of it. Returns the request's file."""
        key = key or f"{name}.key"
        if not (self.folder / key).exists():
            self.ubfctl("node", "keygen", key)
        return self.write(f"{name}.req", self.ubfctl("node", "request", "--key", key, "--name", name, *words)).name

    def listed(self):
        return {entry["serial"]: entry for entry in json.loads(self.ca("list"))}

    def test_secrets_are_their_owners_alone_and_nothing_is_overwritten(self):
        self.ubfctl("node", "keygen", "own.key")
        for file in ("own.key", "ca/authority.key", "ca/ledger.json"):
            self.assertEqual((self.folder / file).stat().st_mode & 0o777, 0o600)
        before = (self.folder / "own.key").read_bytes(), (self.folder / "ca/authority.key").read_bytes()
        self.assertIn("left as it is", self.ubfctl("node", "keygen", "own.key", status=EX_CANTCREAT))
        self.assertIn("left as it is", self.ca("init", status=EX_CANTCREAT))
        self.assertEqual(((self.folder / "own.key").read_bytes(), (self.folder / "ca/authority.key").read_bytes()), before)
        self.assertFalse(list(self.folder.glob("*.new*")))
        (self.folder / "own.key").chmod(0o640)
        self.assertIn("lets others in", self.ubfctl("node", "request", "--key", "own.key", status=EX_CANTCREAT))

    def test_a_certificate_says_what_the_authority_signs(self):
        request = self.request("n10")
        self.assertIn("not the passphrase", self.ca("sign", request, "--class", "compute", "--address", "10.0.0.10",
                                                    passphrase=self.write("wrong", "incorrect horse").name,
                                                    status=EX_CANTCREAT))
        self.ca("sign", request, "--class", "compute", "--address", "10.0.0.10", "--address", "fd00::/64", "--for", "2d",
                "--out", "n10.crt")
        said = self.ubfctl("node", "show", "n10.crt")
        for word in ("of n10\n", "class      compute", "10.0.0.10/32 fd00::/64", "may grant  no"):
            self.assertIn(word, said)
        serial = int(said.split()[1])
        self.assertEqual(self.listed()[serial]["state"], "valid")
        self.ca("revoke", str(serial))
        self.assertEqual(self.listed()[serial]["state"], "revoked")
        self.assertIn("no serial and no name", self.ca("revoke", "n10", status=EX_CANTCREAT))
        self.assertIn("left as it is", self.ca("sign", request, "--class", "compute", "--address", "10.0.0.10", "--out",
                                               "n10.crt", status=EX_CANTCREAT))

    def test_a_bad_request_is_refused(self):
        good = (self.folder / self.request("n11")).read_text()
        words = ("--class", "compute", "--address", "10.0.0.11")
        body = good.splitlines()
        changed = body[1][:20] + ("B" if body[1][20] == "A" else "A") + body[1][21:]
        for bad in ("", good[:-60], good + good, good.replace("REQUEST", "CERTIFICATE"),
                    "\n".join([body[0], changed, *body[2:]])):
            self.ca("sign", self.write("bad.req", bad).name, *words, status=EX_CANTCREAT)
        self.ca("sign", "n11.req", "--class", "Compute!", "--address", "10.0.0.11", status=EX_USAGE)
        self.ca("sign", "n11.req", "--class", "compute", "--address", "10.0.0.11/24", status=EX_USAGE)
        self.ca("sign", "n11.req", "--class", "compute", status=EX_USAGE)
        self.ca("sign", "n11.req", "--name", "n12", *words, status=EX_CANTCREAT)
        self.assertNotIn("n11", str(self.listed()))

    def token(self, name, *words):
        text = self.ca("token", "--name", name, "--class", "login", "--address", "10.0.0.20", *words)
        return self.write(f"{name}.token", text).name

    def test_a_token_enrols_one_node_once(self):
        request = self.request("n20", "--token-file", self.token("n20"))
        self.assertIn("BEGIN UBF CERTIFICATE", self.ca("sign", request, "--class", "service", "--may-grant"))
        entry = [entry for entry in self.listed().values() if entry["name"] == "n20"]
        self.assertEqual([(one["class"], one["may_grant"], one["addresses"]) for one in entry],
                         [("login", False, ["10.0.0.20/32"])])  # the token's, whatever else was asked for
        self.assertIn("unknown, used or over", self.ca("sign", request, status=EX_CANTCREAT))

    def test_a_token_is_good_for_no_other_node_and_not_for_ever(self):
        other = self.request("n21", "--token-file", self.token("n22"))
        self.assertIn("the token is for n22", self.ca("sign", other, status=EX_CANTCREAT))
        late = self.request("n23", "--token-file", self.token("n23", "--for", "0s"))
        self.assertIn("unknown, used or over", self.ca("sign", late, status=EX_CANTCREAT))
        number, secret = self.ca("token", "--name", "n24", "--class", "login", "--address", "10.0.0.24").split()[1:]
        forged = self.write("forged", f"ubf-token-1 {number} {secret[::-1]}\n").name
        self.assertIn("not made with the token", self.ca("sign", self.request("n24", "--token-file", forged),
                                                         status=EX_CANTCREAT))

    def test_many_nodes_are_signed_from_a_list_and_from_slurm_conf(self):
        (self.folder / "requests").mkdir()
        (self.folder / "signed").mkdir()
        for name in ("n1", "n2"):
            (self.folder / self.request(name)).rename(self.folder / "requests" / f"{name}.req")
        where = ("--requests", "requests", "--out", "signed")
        self.write("list", "# name, addresses, class\nn1,10.9.0.1,fd00::1,login\nN2 10.9.0.2\n")
        self.assertEqual(self.ca("sign", "--roster", "list", "--class", "compute", *where), "signed 2 of 2 nodes\n")
        self.assertIn("class      login", self.ubfctl("node", "show", "signed/n1.crt"))
        self.assertIn("class      compute", self.ubfctl("node", "show", "signed/n2.crt"))
        self.write("slurm.conf", SLURM_CONF)
        said = self.ca("sign", "--slurm", "slurm.conf", "--class", "compute", *where, status=1)
        self.assertEqual(said, "signed 1 of 3 nodes\nno request of n3\n")  # n2 has the same certificate already
        for bad in ("n1", "n1 10.0.0.1", "n1 10.0.0.1 compute login", "N! 10.0.0.1 compute"):
            self.assertIn("bad:2: ", self.ca("sign", "--roster", self.write("bad", "\n" + bad + "\n").name,
                                             status=EX_CANTCREAT))

    def sign_listed(self, names, status):
        self.write("list", "".join(f"{name} 10.8.0.{name[1:]} compute\n" for name in names))
        return self.ca("sign", "--roster", "list", "--requests", "wanted", "--out", "got", status=status)

    def test_a_bad_request_on_a_list_leaves_no_certificate_that_nobody_could_revoke(self):
        for folder in ("wanted", "got"):
            (self.folder / folder).mkdir()
        for name in ("n50", "n52"):
            (self.folder / self.request(name)).rename(self.folder / "wanted" / f"{name}.req")
        (self.folder / "wanted" / "n51.req").write_text("n51's root has written this\n")
        said = self.sign_listed(("n50", "n51", "n52"), 1)
        self.assertIn("signed 2 of 3 nodes\nwanted/n51.req: no UBF REQUEST", said)
        for name in ("n50", "n52"):
            serial = int(self.ubfctl("node", "show", f"got/{name}.crt").split()[1])
            self.assertEqual(self.listed()[serial]["name"], name)
        # A revoked key gets no other certificate, though its request and its line are still there.
        self.ca("revoke", "n50")
        before = self.listed()
        said = self.sign_listed(("n50", "n52"), 1)
        self.assertRegex(said, r"signed 0 of 2 nodes\nwanted/n50.req: its key was revoked with certificate \d+; ")
        self.assertEqual(self.listed(), before)
        (self.folder / "n50.key").unlink()
        (self.folder / self.request("n50")).rename(self.folder / "wanted" / "n50.req")
        self.assertEqual(self.sign_listed(("n50", "n52"), 0), "signed 1 of 2 nodes\n")

    def test_the_number_of_rosters_only_grows(self):
        numbers = [int(self.ca("roster", "roster").split()[2]) for _ in range(2)]
        self.assertEqual(numbers[1], numbers[0] + 1)
        self.assertEqual((self.folder / "roster").stat().st_mode & 0o777, 0o644)

    def test_a_revoked_serial_stays_on_the_roster_beyond_its_end(self):
        """A node whose clock is behind would take the certificate again."""
        self.ca("sign", self.request("n60"), "--class", "compute", "--address", "10.0.0.60", "--for", "1s", "--out",
                "n60.crt")
        serial = int(self.ubfctl("node", "show", "n60.crt").split()[1])
        self.ca("revoke", "n60")
        wait_until(lambda: time.time() > (self.folder / "n60.crt").stat().st_mtime + 2)
        self.ca("roster", "late")
        roster = base64.b64decode("".join((self.folder / "late").read_text().split("\n")[1:-2]))
        count, = struct.unpack_from(">I", roster, 28)
        self.assertIn(serial, struct.unpack_from(f">{count}Q", roster, 32))

    def test_only_a_node_that_may_grant_does(self):
        for name, words in (("n30", ()), ("n31", ("--may-grant",))):
            self.ca("sign", self.request(name), "--class", "service", "--address", "10.0.0.30", *words, "--out",
                    f"{name}.crt")
        own = ("--key", "n31.key", "--certificate", "n31.crt")
        text = self.ubfctl("grant", "--user", "1000", "--node", "n1", "--job", "7", "--for", "30m", *own)
        self.assertIn("uid 1000 at n1, ", self.ubfctl("node", "show", self.write("grant", text).name))
        self.assertIn("does not let this node grant", self.ubfctl(
            "grant", "--user", "1000", "--node", "n1", "--key", "n30.key", "--certificate", "n30.crt",
            status=EX_CANTCREAT))
        self.ubfctl("grant", "--user", "1000", "--node", "n1", "--key", "n30.key", "--certificate", "n31.crt",
                    status=EX_CANTCREAT)
        self.ubfctl("grant", "--user", "1000", "--node", "N 1", *own, status=EX_USAGE)

    def test_the_terminal_is_asked_without_an_echo(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execv(BUILD / "daemon" / "ubfctl", ["ubfctl", "ca", "init", "--ca", "another"])
        seen = b""
        for _ in range(2):
            while b": " not in seen.rsplit(b"\n", 1)[-1]:
                seen += os.read(terminal, 4096)
            os.write(terminal, b"secret words\n")
            seen += b"\n"
        while b"ubf-authority-1" not in seen:
            seen += os.read(terminal, 4096)
        os.waitpid(pid, 0)
        os.close(terminal)
        self.assertNotIn(b"secret", seen)
        self.assertEqual((self.folder / "another" / "authority.key").stat().st_mode & 0o777, 0o600)

    def test_words_that_are_no_command_are_refused(self):
        for words in (("ca",), ("ca", "resign"), ("node",), ("node", "keygen", "a", "b"), ("grant",)):
            self.ubfctl(*words, status=EX_USAGE)


if __name__ == "__main__":
    unittest.main()
