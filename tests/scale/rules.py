"""The rules by which a job's ranks may connect to each other: the ranks' users, and the settings and state of the
daemons."""

from lab import case, cgroups
from lab.case import USERS

EVERYBODY = {"allow": ["alice", "bob"]}


class User:
    name = "user"
    listener, connector = "alice", "alice"
    group = None  # the listener's group
    settings = {}

    def begin(self, ubfd, number):
        """Tells a node's daemon all that it must know. number: the node's."""

    def place(self, pid, user, number):
        """Puts a process of this user into its place on that node."""

    def close(self):
        """Removes all that begin() and place() made."""


class Group(User):
    """bob is a member of the group that alice's ranks run under."""

    name = "group"
    connector, group = "bob", case.PROJ


class Map(User):
    name = "map"
    connector = "bob"
    settings = {"labels": {"map": {"team": ["alice", "bob"]}}}


class Slurm(User):
    """alice's and bob's jobs have one Slurm label; other users are in no job."""

    name = "slurm"
    connector = "bob"
    settings = {"labels": {"slurm": True}, "policy": {"labels": {"slurm:physics": EVERYBODY}}}

    def __init__(self):
        self._cgroups = cgroups.JobCgroups()

    def _users(self):
        return {self.listener, self.connector}

    @staticmethod
    def _job(user, number):
        """All nodes see all cgroups of the machine, so each node's job has a number of its own."""
        return USERS[user] % 10 * 1000 + number

    def begin(self, ubfd, number):
        for user in self._users():
            answer = ubfd.ask(**{"command": "job-begin", "job": self._job(user, number), "uid": USERS[user],
                                 "label": "physics"})
            assert answer["ok"], answer

    def place(self, pid, user, number):
        if user in self._users():
            self._cgroups.put(pid, USERS[user], self._job(user, number))

    def close(self):
        self._cgroups.close()


class Required(Slurm):
    """One user's own job, if labels must match."""

    name = "required"
    connector = "alice"
    settings = {"labels": {"slurm": True},
                "policy": {"labels": {"slurm:physics": EVERYBODY}, "require_label": True}}


RULES = {rule.name: rule for rule in (User, Group, Map, Slurm, Required)}
