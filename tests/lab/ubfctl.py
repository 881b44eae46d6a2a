"""For tests of ubfctl: runs it on the node of the listeners."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios

from . import case
from .case import TwoNodes

PORT, SHARED, EXEMPT = 9001, 9002, 9003


class Ubfctl(TwoNodes):
    maxDiff = None
    settings = {"scope": {"exempt_ports": [EXEMPT]}}

    def ubfctl(self, *words, status=0, user=None, socket=True, output=False):
        """Returns the output or, if the command fails, the message. output: it has one all the same."""
        has_output = output
        if socket:
            words = ("--socket", self.ubfd2.socket, *words)
        process = self.two.start(case.build / "daemon" / "ubfctl", *words, user=user,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, status, errors)
        if status != 0 and not has_output:
            self.assertEqual(output, "")
            self.assertEqual(errors.count("\n"), 1, errors)
        return errors if status and not has_output else output

    def on_terminal(self, *words, **environment):
        """Returns the bytes that a terminal gets."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 60, 200, 0, 0))
        process = self.two.start(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, *words,
                                 stdin=follower, stdout=follower, stderr=follower,
                                 env=os.environ | {"TERM": "xterm"} | environment)
        self.addCleanup(process.kill)
        os.close(follower)
        seen = b""
        while True:
            self.assertTrue(select.select([leader], [], [], 20)[0], seen)
            try:
                seen += os.read(leader, 65536)
            except OSError:  # EIO: the other end is closed
                break
        os.close(leader)
        self.assertEqual(process.wait(timeout=10), 0, seen)
        return seen.decode().replace("\r\n", "\n")
