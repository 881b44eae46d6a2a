"""One firewall, or none, on two nodes of its own: what is measured side by side."""

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

USER, OTHER = 60001, 60002  # uids; all servers are the first one's
# What serves there. Nobody listens on CLOSED; SINK and KEEP and what follows are taken when needed.
TCP, UDP, ECHO, DRAIN, CLOSED, SINK, KEEP = 7001, 7002, 7003, 7004, 7005, 7006, 7100
SERVERS = (("tcp", TCP), ("udp", UDP), ("tcp", DRAIN, "drain"))
SETTLED = 0.2  # seconds after which the kernel has cleared away what the ubfd before had in it
MOST_HELD = 1000  # connections that one process holds: less than the usual limit of descriptors
ADDRESS = "10.77.0.2"  # of the servers' node

# A lane's name, the program that guards it, and what its configuration says beside the peers; or nftables commands.
# recognise: the kernel lets one user's connections in; otherwise, as where it can't, ubfd is asked about each.
# part: of ubfd, what alone is there: "rules", which let the ports of the bench pass, or "bpf", its programs.
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
            # By default the kernel sends a host six refusals, then one a second (icmp(7)).
            node.set_sysctl("net.ipv4.icmp_ratemask", "6160")
        self.is_ubfd = kind.program == "ubfd"
        self.daemons = []  # ubfd, of a and of b, in guarded()
        self.guards = []  # processes, these among them
        settings = {"peers": {"ranges": ["10.77.0.0/24"]}} | kind.settings
        self._part = kind.part
        self._ubfctl = programs["ubfctl"]
        self._start_ubfd = lambda node: lab.Ubfd(programs["ubfd"], node, key, settings, recognise=kind.recognise)
        for node in (self.a, self.b):
            if kind.ruleset:
                node.run("nft", kind.ruleset)
            if kind.program and not self.is_ubfd:
                config = lab.FOLDER / f"{node.name}.toml"
                config.write_text(lab.to_toml(settings))
                self.guards.append(start_ready(node, None, programs[kind.program], config))
        for words in SERVERS:
            self.start_storm(self.b, USER, "serve", *words)
        # A core for each end of a ping, as two machines have. Otherwise the scheduler chooses between one core and
        # two as it likes, and the one is several times as fast.
        self.cores = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))  # of a and of b
        for words in (("tcp", ECHO, "echo"), ("udp", ECHO)):
            os.sched_setaffinity(self.start_storm(self.b, USER, "serve", *words).pid, {self.cores[1]})

    @contextlib.contextmanager
    def guarded(self, across=True):
        """A ubfd runs while its own lane is measured, on both nodes or on `b` alone: what it has in the kernel sees the
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
        """The rules alone, with no ubfd to ask; or its programs, which a ubfd that stands still keeps in the kernel."""
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
        """What it measured; on that core, where one is given."""
        where = [] if core is None else ["taskset", "--cpu-list", core]
        result = json.loads(node.run(*where, self._storm, *words, user=user))
        self._check_guards()
        return result

    def hold(self, count):
        """So many established connections between the nodes; returns the processes, in the order in which they are
        to be ended: who made a connection leaves no TIME_WAIT behind."""
        firsts = list(enumerate(range(0, count, MOST_HELD), KEEP))
        servers = [self.start_storm(self.b, USER, "serve", "tcp", port, "keep") for port, _ in firsts]
        clients = [self.start_storm(self.a, USER, "hold", ADDRESS, port, min(MOST_HELD, count - first))
                   for port, first in firsts]
        return clients + servers

    def cpu_seconds(self):
        """That the firewall took so far, on both nodes."""
        return sum(cpu_seconds(guard.pid) for guard in self.guards)

    def _check_guards(self):
        for guard in self.guards:
            if guard.poll() is not None:
                logs = "\n".join(ubfd.log() for ubfd in self.daemons)
                raise lab.Trouble(f"{self.name} ended with {guard.returncode}:\n{logs}")


def start_ready(node, user, *command):
    """A process that has said so."""
    process = node.start(*command, user=user, stdout=subprocess.PIPE)
    if process.stdout.readline() != "ready\n":
        raise lab.Trouble(f"on {node.name}: '{' '.join(map(str, command))}' did not start")
    return process


def end(processes):
    """One after the other, each when those before it are gone."""
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
