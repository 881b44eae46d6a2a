#!/usr/bin/python3
"""rdma_orphan.py ADDRESS PORT: connects through the RDMA connection manager, and holds the connection. The thread that
made its id has ended."""

import ctypes
import sys
import threading
import time

PORT_SPACE_TCP, TYPE_RC = 0x106, 2  # rdma/rdma_user_cm.h, infiniband/verbs.h


class Hints(ctypes.Structure):  # struct rdma_addrinfo, up to the last field that is set here
    _fields_ = [("flags", ctypes.c_int), ("family", ctypes.c_int), ("type", ctypes.c_int),
                ("port_space", ctypes.c_int), ("rest", ctypes.c_uint8 * 128)]


class Attributes(ctypes.Structure):  # struct ibv_qp_init_attr
    _fields_ = [("context", ctypes.c_void_p), ("send", ctypes.c_void_p), ("receive", ctypes.c_void_p),
                ("shared", ctypes.c_void_p), ("capacities", ctypes.c_uint32 * 5), ("type", ctypes.c_int),
                ("signal_all", ctypes.c_int)]


library = ctypes.CDLL("librdmacm.so.1", use_errno=True)
connection = ctypes.c_void_p()


def check(result, what):
    if result != 0:
        sys.exit(f"{what}: errno {ctypes.get_errno()}")


def make(address, port):
    found = ctypes.c_void_p()
    hints = Hints(port_space=PORT_SPACE_TCP, type=TYPE_RC)
    check(library.rdma_getaddrinfo(address.encode(), port.encode(), ctypes.byref(hints), ctypes.byref(found)),
          "rdma_getaddrinfo")
    attributes = Attributes(capacities=(4, 4, 1, 1, 0), type=TYPE_RC)
    check(library.rdma_create_ep(ctypes.byref(connection), found, None, ctypes.byref(attributes)), "rdma_create_ep")


thread = threading.Thread(target=make, args=sys.argv[1:3])
thread.start()
thread.join()
check(library.rdma_connect(connection, None), "rdma_connect")
print("connected", flush=True)
time.sleep(600)
