"""Nodes: network namespaces without names, joined by a veth."""

import contextlib
import os
import pwd
import socket
import subprocess
import time

from .tree import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUTS, Trouble, call, mount


def become(user, group=None, groups=None):
    """Takes the credentials of a user (a name, or a uid that needs no name), as a login would; but for the
    effective gid and the supplementary groups, where given."""
    if isinstance(user, int):
        os.setgroups([])
        gid, uid = user, user
    else:
        entry = pwd.getpwnam(user)
        gid, uid = entry.pw_gid, entry.pw_uid
        os.initgroups(user, gid)
    if groups is not None:
        os.setgroups(groups)
    gid = gid if group is None else group
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


_KINDS = {"net": CLONE_NEWNET, "uts": CLONE_NEWUTS}


def _open_own():
    """The namespaces of this process: kind -> descriptor."""
    return {kind: os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in _KINDS}


def _enter(namespaces):
    for kind, fd in namespaces.items():
        call("setns", fd, _KINDS[kind])


@contextlib.contextmanager
def _coming_home():
    home = _open_own()
    try:
        yield
    finally:
        _enter(home)
        for fd in home.values():
            os.close(fd)


class Node:
    """A network and a host name of its own: namespaces, which live as long as this object or a process in
    them."""

    def __init__(self, name):
        self.name = name
        with _coming_home():
            call("unshare", CLONE_NEWNET | CLONE_NEWUTS)
            socket.sethostname(name)
            self._namespaces = _open_own()
        self.run("ip", "link", "set", "lo", "up")
        # Nobody else has its addresses. As long as the kernel looks whether the link-local one is free, a second or two,
        # it asks for no neighbour in the name of another.
        self.set_sysctl("net.ipv6.conf.default.accept_dad", "0")

    @property
    def path(self):
        """Of the network namespace."""
        return f"/proc/{os.getpid()}/fd/{self._namespaces['net']}"

    def enter(self):
        _enter(self._namespaces)

    def enter_with_sys(self):
        """For a process to stay in: /sys/class/net is the node's too, which some programs read."""
        self.enter()
        call("unshare", CLONE_NEWNS)
        mount("sysfs", "/sys", "sysfs")

    @contextlib.contextmanager
    def inside(self):
        """What this process opens meanwhile is the node's."""
        with _coming_home():
            self.enter()
            yield

    def leave(self):
        """Lets the namespaces end with their last process."""
        for fd in self._namespaces.values():
            os.close(fd)

    def start(self, *command, user=None, group=None, **options):
        """Popen in the node; user is a name or a uid, root without; group: an effective gid other than the user's."""

        def prepare():
            self.enter()
            if user is not None:
                become(user, group)

        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("cwd", "/")
        return subprocess.Popen([str(word) for word in command], preexec_fn=prepare, text=True, **options)

    def run(self, *command, **options):
        """Runs to the end and returns what was printed; Trouble when it fails."""
        process = self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        output = process.communicate()[0]
        if process.returncode != 0:
            raise Trouble(f"on {self.name}: '{' '.join(map(str, command))}' failed: {output.strip()}")
        return output

    def set_sysctl(self, name, value):
        self.run("sh", "-c", f"echo '{value}' > /proc/sys/{name.replace('.', '/')}")


class Home(Node):
    """Where this process itself is."""

    def __init__(self, name):  # pylint: disable=super-init-not-called
        self.name = name
        self._namespaces = _open_own()


def join(one, other, addresses, interface="eth0"):
    """Joins two nodes by a veth of that name at both; addresses are pairs like ('10.77.0.1/24',
    '10.77.0.2/24')."""
    one.run("ip", "link", "add", interface, "type", "veth", "peer", "name", interface, "netns", other.path)
    for index, node in enumerate((one, other)):
        for pair in addresses:
            nodad = ["nodad"] if ":" in pair[index] else []
            node.run("ip", "addr", "add", pair[index], "dev", interface, *nodad)
        node.run("ip", "link", "set", interface, "up")
    # The kernel gets an interface ready for IPv6 a while after it is up, and hears no neighbour before.
    for node in (one, other):
        while f"multicast ff00::/8 dev {interface}" not in node.run("ip", "-6", "route", "show", "table", "local"):
            time.sleep(0.005)


def join_by_switch(nodes, networks, interface="eth0"):
    """Joins nodes by a switch, which is a node too and is returned. Each network is a prefix of addresses
    with {} for the number of a node, from 1 on: '10.77.0.{}/24'."""
    switch = Node("switch")
    switch.run("ip", "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
    switch.run("ip", "link", "set", "bridge", "up")
    for number, node in enumerate(nodes, 1):
        port = f"port{number}"
        node.run("ip", "link", "add", interface, "type", "veth", "peer", "name", port, "netns", switch.path)
        switch.run("ip", "link", "set", port, "master", "bridge")
        switch.run("ip", "link", "set", port, "up")
        for network in networks:
            address = network.format(number)
            node.run("ip", "addr", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))
        node.run("ip", "link", "set", interface, "up")
    for node in nodes:
        while f"multicast ff00::/8 dev {interface}" not in node.run("ip", "-6", "route", "show", "table", "local"):
            time.sleep(0.005)
    return switch
