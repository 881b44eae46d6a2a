"""A node of the tests of RDMA: what is done there, by the guest itself or by the other one."""

import json
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

from lab import case
from lab.node import Home, become
from lab.tree import FOLDER, add_users
from lab.ubfd import Ubfd, write_key

CONTROL = 99  # the second guest's port for commands; ubfd doesn't watch it
RDMAD_LOG = FOLDER / "rdmad.log"
V4, V6 = {1: "10.77.0.1", 2: "10.77.0.2"}, {1: "fd77::1", 2: "fd77::2"}


class Side:
    """Actions at one of the nodes. Arguments and results must be JSON values, so that the other guest can call them."""

    def __init__(self, number):
        self.number, self._programs, self.ubfd, self.rdmad = number, [], None, None
        self._node = Home(f"node{number}")

    def prepare(self):
        for module in ("virtio_net", "rdma_rxe", "rdma_ucm"):
            subprocess.run(["modprobe", module], check=True)
        for command in (f"ip addr add {V4[self.number]}/24 dev eth0",
                        f"ip -6 addr add {V6[self.number]}/64 dev eth0 nodad",
                        "ip link set eth0 up", "rdma link add rxe0 type rxe netdev eth0"):
            subprocess.run(command.split(), check=True)
        for device in pathlib.Path("/dev/infiniband").iterdir():
            device.chmod(0o666)  # udev would do this

    def begin(self, settings, key):
        add_users(case.USERS, case.GROUPS)
        self.ubfd = Ubfd(case.build / "daemon" / "ubfd", self._node, write_key(FOLDER / "key", key),
                         {"peers": {"ranges": case.PEERS}} | settings, ready=lambda: None)
        self.wait_for_ubfd()
        self.start_rdmad()

    def wait_for_ubfd(self):
        self.ubfd.wait_for_log("ready: ", seconds=60)  # at its first start, the guest reads the program from the host

    def end(self):
        """Returns the daemon's log. The daemon must not have died before."""
        while self._programs:
            program = self._programs.pop()
            program.kill()
            program.communicate()
        died, status = self.ubfd.process.poll(), None
        if died is None:
            status = self.ubfd.stop()
        if self.rdmad.poll() is None:
            self.rdmad.terminate()
        status = self.rdmad.wait() or status
        return {"died": died, "status": status, "log": self.ubfd.log() + RDMAD_LOG.read_text()}

    def stop_ubfd(self):
        self.ubfd.process.kill()
        self.ubfd.process.wait()

    def start_ubfd(self):
        self.ubfd.start()
        self.wait_for_ubfd()

    def hold_ubfd(self):
        self.ubfd.process.send_signal(signal.SIGSTOP)

    def release_ubfd(self):
        self.ubfd.process.send_signal(signal.SIGCONT)

    def start_rdmad(self):
        with RDMAD_LOG.open("w") as log:
            self.rdmad = subprocess.Popen([case.build / "daemon" / "ubf-rdmad", "--socket", self.ubfd.socket],
                                          stdin=subprocess.DEVNULL, stderr=log)

    def stop_rdmad(self):
        self.rdmad.kill()
        self.rdmad.wait()

    def rdmad_says(self, text):
        return text in RDMAD_LOG.read_text()

    def status(self):
        return self.ubfd.status()

    def lines(self, word):
        return [line for line in self.ubfd.log().splitlines() if f" {word} " in line]

    def run(self, user, *command, group=None):
        """Starts a program as this user, and returns the program's number."""
        program = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, cwd="/",
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   preexec_fn=lambda: become(user, group))
        self._programs.append(program)
        return len(self._programs) - 1

    def pid(self, number):
        return self._programs[number].pid

    def exit_status(self, number, timeout=0):
        """None while the program runs."""
        try:
            return self._programs[number].wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def first_line(self, number):
        return self._programs[number].stdout.readline().strip()

    def stop(self, number):
        self._programs[number].kill()

    def listens(self, port):
        """Whether the connection manager listens on the port."""
        listing = subprocess.run(["rdma", "resource", "show", "cm_id"], capture_output=True, text=True, check=True)
        return bool(re.search(rf"state LISTEN .*:{port} ", listing.stdout))


class Remote:
    """The other node's actions."""

    def __init__(self):
        end = time.monotonic() + 60
        while True:
            try:
                connection = socket.create_connection((V4[2], CONTROL), 5)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        connection.settimeout(60)
        self._lines = connection.makefile("rw")
        self._lock = threading.Lock()

    def __getattr__(self, name):
        def call(*arguments, **options):
            with self._lock:
                json.dump([name, arguments, options], self._lines, default=str)
                self._lines.write("\n")
                self._lines.flush()
                kind, result = json.loads(self._lines.readline())
            if kind == "error":
                raise AssertionError(f"on node2: {name}{arguments}: {result}")
            return result
        return call


def obey():
    """The second guest runs this until the first ends."""
    side = Side(2)
    side.prepare()
    with socket.create_server(("", CONTROL)) as server:
        lines = server.accept()[0].makefile("rw")
    for line in lines:
        name, arguments, options = json.loads(line)
        try:
            answer = ["result", getattr(side, name)(*arguments, **options)]
        except Exception as error:  # pylint: disable=broad-except
            answer = ["error", f"{type(error).__name__}: {error}"]
        json.dump(answer, lines)
        lines.write("\n")
        lines.flush()
