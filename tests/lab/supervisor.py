"""Acts as systemd for ubfd (sd_notify(3), sd_listen_fds(3)): receives ubfd's notifications, and keeps its descriptors
while it restarts. tests/vm has a real systemd."""

import fcntl
import os
import socket
import threading

from .tree import FOLDER


class Supervisor:
    def __init__(self, name):
        self._path = FOLDER / f"{name}.notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self.kept = {}  # name -> descriptor
        self.said = []  # every assignment, in order
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(self._socket, 65536, 8)
            except OSError:
                return
            fields = dict(line.split("=", 1) for line in message.decode().splitlines())
            if "BARRIER" in fields:
                os.close(fds[0])
                continue
            if "FDSTOREREMOVE" in fields:
                if fields["FDNAME"] in self.kept:  # systemd ignores unknown names
                    os.close(self.kept.pop(fields["FDNAME"]))
            elif "FDSTORE" in fields:
                if fields["FDNAME"] in self.kept:
                    os.close(self.kept[fields["FDNAME"]])
                # A high number doesn't collide with the numbers that ubfd gets in the end.
                self.kept[fields["FDNAME"]] = fcntl.fcntl(fds[0], fcntl.F_DUPFD_CLOEXEC, 100)
                os.close(fds[0])
            self.said.append(fields)

    def options(self):
        """Returns (wrapper, options of Popen) to start ubfd with."""
        kept = list(self.kept.items())
        moves = "".join(f" {number}<&{fd} {fd}<&-" for number, (_, fd) in enumerate(kept, 3))
        wrapper = ["bash", "-c", f'LISTEN_PID=$$ exec "$@"{moves}', "bash"]
        environment = dict(os.environ, NOTIFY_SOCKET=str(self._path), WATCHDOG_USEC="10000000")
        environment |= {"HOME": "/root", "SHELL": "/bin/sh"}  # bash would ask the user database for one that is missing
        if kept:
            environment |= {"LISTEN_FDS": str(len(kept)), "LISTEN_FDNAMES": ":".join(name for name, _ in kept)}
        return wrapper, {"env": environment, "pass_fds": [fd for _, fd in kept]}

    def close(self):
        self._socket.close()
        for fd in self.kept.values():
            os.close(fd)


class Supervised:
    """For TwoNodes: a supervisor keeps the descriptors of node2's ubfd."""

    def start_daemons(self):
        self.ubfd1 = self.start_ubfd(self.one)
        self.supervisor = Supervisor("node2")
        self.addCleanup(self.supervisor.close)
        self.ubfd2 = self.start_ubfd(self.two, supervisor=self.supervisor, words=["--leave-ruleset"])
