"""A fabric without hardware: TUN devices with the link type of IPoIB, joined by a wire (relay.cpp)."""

import fcntl
import ipaddress
import os
import struct
import subprocess
import time

from . import case
from .tree import FOLDER, Trouble

_TUNSETIFF, _TUNSETLINK = 0x400454ca, 0x400454cd  # linux/if_tun.h
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_ARPHRD_INFINIBAND = 32  # linux/if_arp.h

ADDRESSES = [("10.78.0.1/24", "10.78.0.2/24"), ("fd78::1/64", "fd78::2/64")]
PEERS = ["10.78.0.0/24", "fd78::/64"]
V4, V6 = "10.78.0.2", "fd78::2"  # node2's addresses
PKEY = 0x8001


class Fabric:
    """Joins any number of nodes by an interface of this name at each. ends: (node, its addresses like "10.78.0.1/24").

    pkey: the partition's key, for programs with hardware_of() as their environment. `devices` holds the descriptors in
    the order of the ends. A packet written to a descriptor is received by its node.
    """

    def __init__(self, ends, interface="ib0", mtu=2044, pkey=PKEY, build=None):
        self.interface = interface
        self.devices = [_open_device(node, interface) for node, _ in ends]
        for node, addresses in ends:
            # The wire has no neighbour discovery, since it delivers by address alone.
            node.run("ip", "link", "set", interface, "mtu", mtu, "txqueuelen", 4096, "up")
            for address in addresses:
                nodad = ["nodad"] if ":" in address else []
                node.run("ip", "addr", "add", address, "dev", interface, *nodad)
            with open(_pkeys_of(node), "a") as pkeys:
                pkeys.write(f"{interface} {pkey:04x}\n")
        words = [f"{device}=" + ",".join(str(ipaddress.ip_interface(address).ip) for address in addresses)
                 for device, (_, addresses) in zip(self.devices, ends)]
        relay = (build or case.build) / "tests" / "lab" / "relay"
        self._relay = subprocess.Popen([relay, *words], pass_fds=self.devices, stdout=subprocess.PIPE, text=True)
        if self._relay.stdout.readline() != "ready\n":
            raise Trouble(f"the wire of {interface} did not start")
        for node, _ in ends:
            while f"multicast ff00::/8 dev {interface}" not in node.run("ip", "-6", "route", "show", "table", "local"):
                time.sleep(0.005)

    def close(self):
        """Cuts the wire, which removes the interfaces. Further calls do nothing."""
        self._relay.kill()
        self._relay.wait()
        self._relay.stdout.close()
        while self.devices:
            os.close(self.devices.pop())


def _open_device(node, interface):
    if not os.path.exists("/dev/net/tun"):
        subprocess.run(["modprobe", "tun"], check=True)
    with node.inside():
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), _IFF_TUN | _IFF_NO_PI))
    fcntl.ioctl(device, _TUNSETLINK, _ARPHRD_INFINIBAND)
    return device


def _pkeys_of(node):
    return FOLDER / f"{node.name}.pkeys"


def hardware_of(node, build=None):
    """The environment of a program that must see the node's hardware addresses, which the kernel lacks
    (hardware.cpp)."""
    library = (build or case.build) / "tests" / "lab" / "libhardware.so"
    return dict(os.environ, LD_PRELOAD=str(library), UBF_LAB_PKEYS=str(_pkeys_of(node)),
                ASAN_OPTIONS="verify_asan_link_order=0")  # a sanitizer wants to be the first library


def join_by_fabric(one, other, addresses, interface="ib0", mtu=2044, pkey=PKEY, build=None):
    """Joins two nodes by a fabric; addresses are pairs as for join(). A second partition is a second interface, like
    "ib0.8002". Returns the Fabric, which the caller closes."""
    first, second = zip(*addresses)
    return Fabric([(one, first), (other, second)], interface, mtu, pkey, build)


class TwoNodesOnFabric(case.TwoNodes):
    """Two nodes that are joined by ib0 as well, self.fabric. ib0's addresses are peers in both sections, so ident works
    over both links, whether ubfd sees a fabric or not."""

    def setUp(self):
        self.fabric = None
        super().setUp()

    def start_daemons(self):
        self.fabric = self.join_by_fabric(ADDRESSES)
        super().start_daemons()

    def join_by_fabric(self, addresses, **options):
        """Joins the two nodes by another interface."""
        fabric = join_by_fabric(self.one, self.two, addresses, **options)
        self.addCleanup(fabric.close)
        return fabric

    def start_ubfd(self, node, settings=None, **options):
        settings = self.settings if settings is None else settings
        settings = {"peers": {"ranges": case.PEERS + PEERS}} | settings
        settings |= {"fabric": {"peers": PEERS} | settings.get("fabric", {})}
        options.setdefault("environment", hardware_of(node))
        return super().start_ubfd(node, settings, **options)
