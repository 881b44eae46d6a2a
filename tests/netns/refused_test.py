#!/usr/bin/python3
"""Libraries and launchers of a cluster, when they are refused, print the words on the users' page, docs/refused.md.
why_test.py has the commands of a shell."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import USERS, V4, V6, TwoNodes, wait_until  # noqa: E402
from lab.tree import FOLDER  # noqa: E402

PORT, LOCAL = 8888, 9999
PYTHON = "/usr/bin/python3"
PROGRAMS = {"dask": "Dask, `Client`", "kernel": "Jupyter, a kernel on another node",
            "gateway": "Jupyter, `--gateway-url`", "ssh": "OpenSSH, `ssh -L`", "openmpi": "Open MPI",
            "mpich": "MPICH"}
BY_HAND = ["PyTorch, `init_process_group`", "Java"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
SSHD = """
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
UsePAM no
StrictModes no
PidFile none
"""
KERNEL = """
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(ip="{address}", shell_port={port}, iopub_port={port}, stdin_port={port},
                              control_port={port}, hb_port={port})
client.start_channels()
client.wait_for_ready(timeout=20)
"""

PROXY = """
import http.server, urllib.error, urllib.request
class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        port, path = self.path.removeprefix("/proxy/").split("/", 1)
        try:
            body, status = urllib.request.urlopen(f"http://127.0.0.1:{{port}}/{{path}}").read(), 200
        except urllib.error.URLError as error:
            body, status = str(error).encode(), 502
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", {port}), Proxy).serve_forever()
"""


def page():
    """The users' page: program -> words."""
    text = (ROOT / "docs" / "refused.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| (\w.*?) \| [^|]* \| `(.*)` \|$", text, flags=re.M))


def words_of(name):
    return page()[PROGRAMS[name]]


class Served(TwoNodes):
    """Alice has a page on node2."""

    def setUp(self):
        super().setUp()
        (FOLDER / "site").mkdir()
        (FOLDER / "site" / "page").write_text("a page\n")

    def read(self, user, node, url):
        process = node.start("curl", "-sS", "--max-time", "5", url, user=user, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        return process.communicate()[0]

    def serve(self, *wrapper):
        """Alice's web server, by way of another program if one is named."""
        command = f"exec {PYTHON} -m http.server --directory {FOLDER}/site {PORT}"
        return self.start_server("alice", PORT, *(wrapper or ("sh",)), "-c", command)

    def start_server(self, user, port, *command):
        server = self.two.start(*command, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True)
        self.addCleanup(self.end, server)
        wait_until(lambda: self.two.run("ss", "-Htln", "sport", "=", port).strip(), 20, "the server")
        return server

    def end(self, server):
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


class Cured(Served):
    """Bob is refused by a program that he uses, asks for the reason on his own node, and does as he is told."""

    url = f"http://{V4}:{PORT}/page"

    def why(self):
        process = self.ubfd1.ctl("why", "--last", "1", socket=self.ubfd1.user_socket, user="bob")
        return re.search(r"do: +The server is alice's, and private\. .*: sg (\w+) 'COMMAND'", process.stdout)

    def test_a_user_who_was_refused_finds_the_reason_and_the_cure_and_the_cure_helps(self):
        server = self.serve()
        self.assertIn("Couldn't connect to server", self.read("bob", self.one, self.url))
        cure = wait_until(self.why, 5, "the cure")
        self.end(server)
        self.serve("sg", cure[1])
        self.assertEqual(self.read("bob", self.one, self.url), "a page\n")


class Proxied(Served):
    """A user's Jupyter forwards their requests to any port of its node, with jupyter-server-proxy. Debian does not have
    that program, so a stand-in forwards here."""

    def through_a_proxy_of(self, user, port):
        self.start_server(user, port, PYTHON, "-c", PROXY.format(port=port))
        return self.read(user, self.two, f"http://127.0.0.1:{port}/proxy/{PORT}/page")

    def test_a_proxy_reaches_the_web_applications_of_its_own_user_only(self):
        """See jupyterhub/jupyter-server-proxy, issue 358."""
        self.serve()
        self.assertEqual(self.through_a_proxy_of("alice", LOCAL), "a page\n")
        self.assertIn("No route to host", self.through_a_proxy_of("bob", LOCAL + 1))
        self.ubfd2.stop()
        self.assertEqual(self.read("bob", self.two, f"http://127.0.0.1:{LOCAL + 1}/proxy/{PORT}/page"), "a page\n")


class Refused(TwoNodes):
    """Alice has a server on node2, and bob programs on node1."""

    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.home = FOLDER / "bob"
        self.home.mkdir()
        os.chown(self.home, USERS["bob"], USERS["bob"])

    def start(self, *command):
        process = self.one.start("env", f"HOME={self.home}", "LC_ALL=C", *command, user="bob", cwd=self.home,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def assert_fails(self, words, *command):
        process = self.start(*command)
        output = process.communicate(timeout=60)[0]
        self.assertNotEqual(process.returncode, 0, output)
        self.assertIn(words, output)

    def listens(self, port):
        wait_until(lambda: self.one.run("ss", "-Htln", "sport", "=", port).strip(), 30, f"a listener at port {port}")

    def test_dask(self):
        words = words_of("dask")
        for host in (V4, f"[{V6}]"):
            client = f"from distributed import Client; Client('tcp://{host}:{PORT}', timeout=3)"
            self.assert_fails(words, PYTHON, "-c", client)

    def test_a_kernel_of_jupyter(self):
        script = KERNEL.format(address=V4, port=PORT)
        self.assert_fails(words_of("kernel"), PYTHON, "-c", script)

    def test_a_gateway_of_jupyter(self):
        self.start(PYTHON, "-m", "jupyter_server", "--no-browser", f"--port={LOCAL}", "--ServerApp.token=mine",
                   f"--gateway-url=http://{V4}:{PORT}")
        self.listens(LOCAL)
        seen = self.one.run("curl", "-sS", f"http://127.0.0.1:{LOCAL}/api/kernelspecs?token=mine", user="bob")
        self.assertIn(words_of("gateway"), seen)

    def test_a_forwarded_port_of_ssh(self):
        folder = FOLDER / "ssh"
        folder.mkdir()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        os.chown(folder / "user", USERS["bob"], USERS["bob"])
        (folder / "config").write_text(SSHD.format(folder=folder))
        pathlib.Path("/run/sshd").mkdir()
        server = self.one.start(shutil.which("sshd", path="/usr/sbin"), "-D", "-f", folder / "config")
        self.addCleanup(lambda: (server.kill(), server.wait()))
        self.listens(22)
        client = self.start("ssh", "-N", "-i", folder / "user", "-o", "StrictHostKeyChecking=no", "-o",
                            f"UserKnownHostsFile={folder}/hosts", "-L", f"{LOCAL}:{V4}:{PORT}", "10.77.0.1")
        self.listens(LOCAL)
        self.assert_fails("Recv failure: Connection reset by peer", "curl", "-sS", f"http://127.0.0.1:{LOCAL}/")
        client.terminate()
        self.assertIn(words_of("ssh"), client.communicate(timeout=10)[0])

    def test_mpi(self):
        """mpi_test.py runs both, and expects these words."""
        expected = (ROOT / "tests" / "netns" / "mpi_test.py").read_text(encoding="utf-8")
        for program in ("openmpi", "mpich"):
            self.assertIn(words_of(program), expected)

    def test_the_page_names_no_other_program(self):
        self.assertEqual(sorted(page()), sorted([*PROGRAMS.values(), *BY_HAND]))


if __name__ == "__main__":
    case.main()
