"""For tests of recognition: two nodes that recognise."""

import subprocess

from . import case
from .case import V4, Counted, TwoNodes

PORT, SHARED, CLOSED, REDIRECTED = 9001, 9002, 9003, 9004


class Recognising(TwoNodes):
    recognise = True

    def setUp(self):
        super().setUp()
        self.listen("alice", PORT)
        self.people = {}

    def listen(self, user, port, node=None, **options):
        listener = self.person(user, node or self.two, **options)
        listener.listen("tcp", "::", port)
        return listener

    def somebody(self, user, across=True):
        if (user, across) not in self.people:
            self.people[user, across] = self.person(user, self.one if across else self.two)
        return self.people[user, across]

    def connect(self, user="alice", port=PORT, address=V4, across=True):
        """Returns the user's view, the recognition counters that grew, and the reasons for ubfd's verdicts."""
        with Counted(self.ubfd2) as counted:
            seen = self.somebody(user, across).connect("tcp", address, port)
        return seen, self.grown(counted), set(counted.reasons())

    @staticmethod
    def grown(counted):
        names = ("recognised", "unstamped", "foreign_key", "other_time", "unfit", "repeated", "no_listener")
        return {name: counted[f"recognition.{name}"] for name in names if counted[f"recognition.{name}"]}

    def assert_recognised(self, *args, **options):
        self.assertEqual(self.connect(*args, **options), ("connected", {"recognised": 1}, set()))

    def assert_asked(self, *args, reason="same-user", **options):
        """Connects, and checks that ubfd asked as usual."""
        seen, recognised, reasons = self.connect(*args, **options)
        self.assertEqual((seen, reasons), ("connected", {reason}))
        self.assertNotIn("recognised", recognised)
        return recognised

    def state(self):
        return self.ubfd2.status()["recognition"]["state"]

    def reload_with(self, **sections):
        self.ubfd2.reload_with(**sections)

    def ubfctl(self, *words):
        return subprocess.run([case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, *words], text=True,
                              capture_output=True, check=True).stdout

    def filters(self, node=None, interface="eth0"):
        return (node or self.two).run("tc", "filter", "show", "dev", interface, "ingress")
