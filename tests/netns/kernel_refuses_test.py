#!/usr/bin/python3
"""The kernel refuses what a thread of ubfd asks, as it may when memory is short. Meanwhile nobody is let in who may not
be, and afterwards all goes on by itself."""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import WAYS, TwoNodes, wait_until  # noqa: E402
from lab.threads import refused_by_kernel, threads  # noqa: E402

PORT = 9001
# The errors of each call that ubfd can meet while its code is right: netlink(7), socket(7), udp(7).
ERRORS = {"sendto": ("ENOBUFS", "ENOMEM", "EPERM"), "sendmsg": ("ENOBUFS", "ENOMEM", "EPERM"),
          "recvmsg": ("ENOBUFS", "ENOMEM"), "recvmmsg": ("ENOBUFS", "ENOMEM")}


class Refusal(TwoNodes):
    def check(self, *names):
        """On both nodes, the kernel refuses these threads each call in turn."""
        for name in names:
            for call, errors in ERRORS.items():
                for error in errors:
                    with self.subTest(f"{name}: {call} fails with {error}"):
                        self.refuse(name, call, error)
                        self.assert_all_is_well()

    def refuse(self, name, call, error):
        server = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            server.listen(protocol, "::", PORT)
        bobs = {True: self.person("bob", self.one), False: self.person("bob", self.two)}
        tids = [tid for ubfd in (self.ubfd1, self.ubfd2) for tid in threads(ubfd.process, name)]
        with contextlib.ExitStack() as stack:
            for tid in tids:
                stack.enter_context(refused_by_kernel(tid, call, error))
            for way in WAYS:
                self.assertNotEqual(bobs[way.across].connect(way.protocol, way.address, PORT, timeout=0.3), "connected",
                                    str(way))
        for somebody in (server, *bobs.values()):
            self.dismiss(somebody)

    def assert_all_is_well(self):
        self.assert_alive(self.ubfd1, self.ubfd2)
        server = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            server.listen(protocol, "::", PORT)
        for user in ("alice", "bob"):
            there, here = self.person(user, self.one), self.person(user, self.two)
            for way in WAYS:
                client = there if way.across else here
                expected = "connected" if user == "alice" else way.refused
                wait_until(lambda: client.connect(way.protocol, way.address, PORT) == expected, 10, f"{user} {way}")
            self.dismiss(there)
            self.dismiss(here)
        self.dismiss(server)

    def test_the_gate_what_it_asks_and_nobody_gets_in(self):
        self.check("gate")

    def test_ident_what_it_asks_and_nobody_gets_in(self):
        self.check("ident", "sent")

    def test_the_other_threads_what_they_ask_and_nobody_gets_in(self):
        self.check("udp", "listeners", "ubfd", "owners")


if __name__ == "__main__":
    case.main()
