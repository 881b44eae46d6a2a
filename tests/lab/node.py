"""Nodes: unnamed network namespaces, joined by a veth."""

import contextlib
import os
import pwd
import socket
import subprocess
import time

from .tree import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUTS, Trouble, call, mount


def become(user, group=None, groups=None):
    """Takes a user's credentials as a login would, except for the effective gid and the supplementary groups if given.
    user: a name, or a uid that needs no name."""
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
    """A network and a host name of its own. Its namespaces live as long as this object or a process in them."""

    def __init__(self, name):
        self.name = name
        with _coming_home():
            call("unshare", CLONE_NEWNET | CLONE_NEWUTS)
            socket.sethostname(name)
            self._namespaces = _open_own()
        self.run("ip", "link", "set", "lo", "up")
        # No other node has this node's addresses. Duplicate address detection would block the kernel's neighbour
        # solicitations for a second or two, even from other addresses.
        self.set_sysctl("net.ipv6.conf.default.accept_dad", "0")

    @property
    def path(self):
        """The path of the network namespace."""
        return f"/proc/{os.getpid()}/fd/{self._namespaces['net']}"

    def enter(self):
        _enter(self._namespaces)

    def enter_with_sys(self):
        """Enters the node for good. /sys/class/net, which some programs read, is the node's too."""
        self.enter()
        call("unshare", CLONE_NEWNS)
        mount("sysfs", "/sys", "sysfs")

    @contextlib.contextmanager
    def inside(self):
        """Sockets and files that this process opens meanwhile belong to the node."""
        with _coming_home():
            self.enter()
            yield

    def leave(self):
        """The namespaces end with their last process."""
        for fd in self._namespaces.values():
            os.close(fd)

    def start(self, *command, user=None, group=None, **options):
        """Popen in the node. user: a name or a uid; None is root. group: an effective gid other than the user's."""

        def prepare():
            self.enter()
            if user is not None:
                become(user, group)

        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("cwd", "/")
        return subprocess.Popen([str(word) for word in command], preexec_fn=prepare, text=True, **options)

    def run(self, *command, **options):
        """Runs the command to its end and returns its output; raises Trouble if it fails."""
        process = self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        output = process.communicate()[0]
        if process.returncode != 0:
            raise Trouble(f"on {self.name}: '{' '.join(map(str, command))}' failed: {output.strip()}")
        return output

    def set_sysctl(self, name, value):
        self.run("sh", "-c", f"echo '{value}' > /proc/sys/{name.replace('.', '/')}")


class Home(Node):
    """The node that this process itself is on."""

    def __init__(self, name):  # pylint: disable=super-init-not-called
        self.name = name
        self._namespaces = _open_own()


def join(one, other, addresses, interface="eth0"):
    """Joins two nodes by a veth with this name at both ends. addresses: pairs like ('10.77.0.1/24', '10.77.0.2/24')."""
    one.run("ip", "link", "add", interface, "type", "veth", "peer", "name", interface, "netns", other.path)
    for index, node in enumerate((one, other)):
        for pair in addresses:
            nodad = ["nodad"] if ":" in pair[index] else []
            node.run("ip", "addr", "add", pair[index], "dev", interface, *nodad)
        node.run("ip", "link", "set", interface, "up")
    # The kernel prepares an interface for IPv6 some time after it is up, and gets no neighbour messages before.
    for node in (one, other):
        while f"multicast ff00::/8 dev {interface}" not in node.run("ip", "-6", "route", "show", "table", "local"):
            time.sleep(0.005)


def join_by_switch(nodes, networks, interface="eth0"):
    """Joins nodes by a switch, which is a node too and is returned. Each network is a prefix of addresses with {} for a
    node's number, from 1 on: '10.77.0.{}/24'."""
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
