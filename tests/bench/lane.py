"""One firewall, or none, on two nodes of its own. The lanes are compared with each other."""

import collections
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

import lab
from lab.cpu import cpu_seconds

USER, OTHER = 60001, 60002  # uids; all servers run as USER
# The ports of the servers. CLOSED has no listener. SINK, and KEEP and the ports after it, are opened when needed.
TCP, UDP, ECHO, DRAIN, CLOSED, SINK, KEEP = 7001, 7002, 7003, 7004, 7005, 7006, 7100
SERVERS = (("tcp", TCP), ("udp", UDP), ("tcp", DRAIN, "drain"))
SETTLED = 0.2  # seconds until the kernel has removed the last ubfd's state
MOST_HELD = 1000  # connections of one process, below the usual limit of descriptors
ADDRESS = "10.77.0.2"  # the servers' node

# A lane's name, the program that guards it, and its settings beside the peers, or its nftables commands.
#
# recognise: whether the kernel may recognise one user's connections; otherwise ubfd is asked about each.
#
# part: the only part of ubfd that is active: "rules" that pass the bench's ports, or "bpf", its programs.
Kind = collections.namedtuple("Kind", "name program settings ruleset recognise part",
                              defaults=(None, {}, "", False, None))
KINDS = (
    Kind("none"),
    Kind("conntrack", ruleset="table inet least { chain input { type filter hook input priority filter; "
                              "ct state established accept; }; }"),
    Kind("floor", "floor"),
    Kind("ubfd", "ubfd"),
    Kind("rules", "ubfd", part="rules",
         settings={"scope": {"exempt_ports": [f"tcp/{TCP}", f"udp/{UDP}"]}}),
    Kind("bpf", "ubfd", recognise=True, part="bpf"),
    Kind("recognised", "ubfd", recognise=True),
)


class Lane:
    """Clients on `a`, servers on `b`."""

    def __init__(self, kind, programs, key, name=None):
        self.name = name or kind.name
        self._storm = programs["storm"]
        self.a, self.b = lab.Node(f"{self.name}-a"), lab.Node(f"{self.name}-b")
        lab.join(self.a, self.b, [("10.77.0.1/24", f"{ADDRESS}/24")])
        for node in (self.a, self.b):
            node.set_sysctl("net.ipv4.ip_local_port_range", "15000 60999")
            node.set_sysctl("net.core.somaxconn", "4096")
            # By default, the kernel sends a host six refusals, then one a second (icmp(7)).
            node.set_sysctl("net.ipv4.icmp_ratemask", "6160")
        self.is_ubfd = kind.program == "ubfd"
        self.daemons = []  # ubfd on `a` and on `b`, inside guarded()
        self.guards = []  # processes, those of ubfd included
        self._settings = {"peers": {"ranges": ["10.77.0.0/24"]}} | kind.settings
        self._part = kind.part
        self._ubfctl = programs["ubfctl"]
        self._start_ubfd = lambda node: lab.Ubfd(programs["ubfd"], node, key, self.settings_of(node),
                                                 recognise=kind.recognise)
        for node in (self.a, self.b):
            if kind.ruleset:
                node.run("nft", kind.ruleset)
            if kind.program and not self.is_ubfd:
                config = lab.FOLDER / f"{node.name}.toml"
                config.write_text(lab.to_toml(self._settings))
                self.guards.append(start_ready(node, None, programs[kind.program], config))
        for words in SERVERS:
            self.start_storm(self.b, USER, "serve", *words)
        # Each end of a ping has a core, as on two machines. Otherwise the scheduler switches between one core and two,
        # and the times differ several-fold.
        self.cores = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))  # for `a` and `b`
        for words in (("tcp", ECHO, "echo"), ("udp", ECHO)):
            os.sched_setaffinity(self.start_storm(self.b, USER, "serve", *words).pid, {self.cores[1]})

    def settings_of(self, node):  # pylint: disable=unused-argument
        """ubfd's, on this node; a lane may have others for each."""
        return self._settings

    @contextlib.contextmanager
    def guarded(self, across=True):
        """ubfd runs only while its own lane is measured, on both nodes or on `b` alone: its BPF programs see the
        sockets of all nodes here."""
        nodes = (self.a, self.b) if across else (self.b,)
        if not self.is_ubfd:
            yield
            return
        self.daemons = [self._start_ubfd(node) for node in nodes]
        self.guards = [ubfd.process for ubfd in self.daemons]
        time.sleep(SETTLED)
        if self._part:
            self._keep_a_part()
        yield
        self.guards = []
        for ubfd in self.daemons:
            if self._part == "rules":
                ubfd.node.run("nft", "delete", "table", "inet", "ubf")
                continue
            if self._part == "bpf":
                ubfd.process.send_signal(signal.SIGCONT)
            ubfd.stop()

    def _keep_a_part(self):
        """Keeps only the rules, without ubfd, or only the programs, which a stopped ubfd keeps in the kernel."""
        for ubfd in self.daemons:
            if self._part == "bpf":
                ubfd.process.send_signal(signal.SIGSTOP)
                ubfd.node.run("nft", "delete", "table", "inet", "ubf")
                continue
            ubfd.stop()
            ubfd.node.run(self._ubfctl, "ruleset", "--install", ubfd.config)
        if self._part == "rules":
            self.guards = []

    def start_storm(self, node, user, *words):
        return start_ready(node, user, self._storm, *words)

    def storm(self, node, user, *words, core=None):
        """Returns the results; runs on this core if one is given."""
        where = [] if core is None else ["taskset", "--cpu-list", core]
        result = json.loads(node.run(*where, self._storm, *words, user=user))
        self._check_guards()
        return result

    def hold(self, count):
        """Holds `count` established connections between the nodes. Returns the processes in the order in which they
        must end, so that no TIME_WAIT is left."""
        firsts = list(enumerate(range(0, count, MOST_HELD), KEEP))
        servers = [self.start_storm(self.b, USER, "serve", "tcp", port, "keep") for port, _ in firsts]
        clients = [self.start_storm(self.a, USER, "hold", ADDRESS, port, min(MOST_HELD, count - first))
                   for port, first in firsts]
        return clients + servers

    def cpu_seconds(self):
        """The firewall's CPU time so far, on both nodes."""
        return sum(cpu_seconds(guard.pid) for guard in self.guards)

    def _check_guards(self):
        for guard in self.guards:
            if guard.poll() is not None:
                logs = "\n".join(ubfd.log() for ubfd in self.daemons)
                raise lab.Trouble(f"{self.name} ended with {guard.returncode}:\n{logs}")


def start_ready(node, user, *command):
    """Starts a process, and waits until it says that it is ready."""
    process = node.start(*command, user=user, stdout=subprocess.PIPE)
    if process.stdout.readline() != "ready\n":
        raise lab.Trouble(f"on {node.name}: '{' '.join(map(str, command))}' did not start")
    return process


def end(processes):
    """Ends the processes one after the other, each when the last one is gone."""
    for process in processes:
        process.terminate()
        process.wait()
        process.stdout.close()


def find_programs(build):
    programs = {name: build / "daemon" / name for name in ("ubfd", "ubfctl")}
    programs |= {name: build / "tests" / "bench" / name for name in ("storm", "floor", "crowd", "lookup")}
    for program in programs.values():
        if not pathlib.Path(program).exists():
            raise lab.Trouble(f"{program} is not built; run 'make' first")
    return programs
