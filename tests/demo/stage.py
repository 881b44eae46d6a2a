"""The demo's nodes, users and servers, and the words in which ubfd judges a flow."""

import importlib.util
import os
import pathlib
import shlex
import subprocess
import time

import lab

USERS = {"alice": 63001, "bob": 63002, "carol": 63003, "dave": 63004}
GROUPS = {"proj": (63010, ["alice", "bob"])}
SETTINGS = {"peers": {"ranges": ["10.77.0.0/24", "fd77::/64"]}, "labels": {"map": {"physics": ["alice", "dave"]}}}
OWN, SHARED, NOBODY, NOTEBOOK = 8001, 8002, 8003, 8888  # ports
V4, V6 = "10.77.0.2", "fd77::2"  # of node2
HELLO, UNREACHABLE = "'hello'", "No route to host (EHOSTUNREACH)"
RESULTS = "alice's results, not yet published"
FILE = f"http://{V4}:{NOTEBOOK}/files/results.txt"
HAS_JUPYTER = importlib.util.find_spec("jupyter_server") is not None
_DENIALS = ("different-user", "label-required", "connector-unknown", "listener-unknown", "outside", "internal-error")


def wait_for(find, seconds=20):
    """Returns the first true value of find(), or its last value."""
    end = time.monotonic() + seconds
    while not (found := find()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


class Stage:
    """Two nodes, without ubfd at first."""

    def __init__(self, build, has_jupyter=HAS_JUPYTER):
        self.has_jupyter = has_jupyter
        self.build = lab.reachable(build)
        self.talk_program = lab.reachable(pathlib.Path(__file__).resolve().parent) / "talk"
        lab.add_users(USERS, GROUPS)
        self.nodes = {name: lab.Node(name) for name in ("node1", "node2")}
        lab.join(*self.nodes.values(), [("10.77.0.1/24", "10.77.0.2/24"), ("fd77::1/64", "fd77::2/64")])
        self.daemons = {}
        self._key = lab.write_key(lab.FOLDER / "key")

    def start_ubfd(self, name, **options):
        """Starts ubfd on a node, in place of one that ended."""
        self.daemons[name] = lab.Ubfd(self.build / "daemon" / "ubfd", self.nodes[name], self._key, SETTINGS, **options)
        return self.daemons[name]

    def talk(self, user, node, *words):
        """Returns a line: the text or the error that the user sees."""
        return self.nodes[node].run(self.talk_program, *words, user=user).strip()

    def start_talking(self, user, node, *words):
        return self.nodes[node].start(self.talk_program, *words, user=user, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def start_server(self, port, group=None):
        """Starts a server of alice's on node2, under a group if one is named."""
        command = [self.talk_program, "listen", port]
        if group:
            command = ["sg", group, "-c", shlex.join(map(str, command))]
        server = self.nodes["node2"].start(*command, user="alice", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if server.stdout.readline() != "ready\n":
            raise lab.Trouble(f"the server at port {port} did not start: {server.stderr.read().strip()}")

    def start_notebook(self):
        """Starts alice's Jupyter without a token on node2; without Jupyter, a server of the same file."""
        home = lab.FOLDER / "alice"
        (home / "files").mkdir(parents=True)
        (home / "files" / "results.txt").write_text(RESULTS + "\n")
        for place in (home, home / "files"):
            os.chown(place, USERS["alice"], USERS["alice"])
        if self.has_jupyter:
            words = ["-m", "jupyter_server", "--no-browser", "--ip=0.0.0.0", f"--port={NOTEBOOK}",
                     "--ServerApp.token=", f"--ServerApp.root_dir={home / 'files'}"]
        else:
            words = ["-m", "http.server", NOTEBOOK, "--directory", home]
        with open(lab.FOLDER / "notebook.log", "w", encoding="utf-8") as log:
            self.nodes["node2"].start("/usr/bin/python3", *words, user="alice", cwd=home, stdout=log, stderr=log,
                                      env={"HOME": str(home), "PATH": os.environ["PATH"]})
        if not wait_for(lambda: self.talk("alice", "node2", "get", FILE) == RESULTS):
            raise lab.Trouble(f"alice's notebook did not start; see {log.name}: "
                              + pathlib.Path(log.name).read_text(encoding="utf-8"))

    def why(self, user, node):
        """Returns the text of `ubfctl why` about the user's last refusal, once it has a cure."""
        words = [self.build / "daemon" / "ubfctl", "--socket", self.daemons[node].user_socket, "why", "--last", "1"]

        def ask():
            text = self.nodes[node].run(*words, user=user)
            return text if "do: " in text else None
        return wait_for(ask, 5) or ""


class Judge:
    """Finds what one ubfd says about the next flow: the log line of a denial, or the counted reason."""

    def __init__(self, ubfd):
        self._ubfd = ubfd
        self._lines = ubfd.denials()
        self._reasons = ubfd.status()["reasons"]

    def verdict(self):
        """Returns the reason, and the log line or ''."""
        now = self._ubfd.status()["reasons"]
        reasons = [reason for reason, count in now.items() if count > self._reasons[reason]]
        if not self._ubfd.status()["log"]["lost"] and any(reason in _DENIALS for reason in reasons):
            line = wait_for(self._fresh_line, 2)
            return line.partition(" reason=")[2].split()[0] if line else "no log line", line
        return " ".join(reasons) or "never asked", ""

    def _fresh_line(self):
        return next(iter(self._ubfd.denials()[len(self._lines):]), "")
