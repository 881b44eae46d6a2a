"""Runs programs on another node as the same user, in the role of a cluster's sshd. Requests go over a Unix socket that
both nodes see, so they don't pass the firewall."""

import contextlib
import json
import os
import signal
import socket
import struct
import threading

from .node import become
from .tree import FOLDER

# Replaces ssh: AGENT [-OPTION...] HOST COMMAND...
_AGENT = """#!/usr/bin/python3
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect("{socket}")
    words = sys.argv[1:]
    while words[0].startswith("-"):
        del words[0]
    request = json.dumps({{"host": words[0], "command": " ".join(words[1:]), "cwd": os.getcwd()}})
    socket.send_fds(server, [request.encode()], [0, 1, 2])
    status = server.recv(1)
    sys.exit(status[0] if status else 255)
"""


class Launcher:
    """nodes: host name -> Node. `agent` is the program that replaces ssh."""

    def __init__(self, nodes):
        self._nodes = nodes
        self._running = set()  # process groups
        self._server = socket.socket(socket.AF_UNIX)
        path = FOLDER / "launcher.sock"
        self._server.bind(str(path))
        path.chmod(0o666)
        self._server.listen()
        self.agent = FOLDER / "agent"
        self.agent.write_text(_AGENT.format(socket=path))
        self.agent.chmod(0o755)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        """Ends the programs that still run."""
        self._server.close()
        for pid in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._run, args=(client,), daemon=True).start()

    def _run(self, client):
        with client:
            request, fds, _, _ = socket.recv_fds(client, 65536, 3)
            request = json.loads(request)
            _, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            pid = os.fork()
            if pid == 0:
                try:
                    os.setsid()
                    self._nodes[request["host"]].enter_with_sys()
                    become(uid)
                    for target, fd in enumerate(fds):
                        os.dup2(fd, target)
                    os.chdir(request["cwd"])
                    os.execv("/bin/sh", ["sh", "-c", request["command"]])
                finally:
                    os._exit(127)
            self._running.add(pid)
            for fd in fds:
                os.close(fd)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            self._running.discard(pid)
            with contextlib.suppress(OSError):
                client.send(bytes([status & 0xff]))
