"""Datagrams under a source of the sender's choice."""

import errno
import socket
import struct

_IP_PKTINFO = 8  # linux/in.h


def pktinfo(source, interface=0):
    """A control message for sendmsg(). An IPv6 socket takes an IPv4 address in its mapped form."""
    number = struct.pack("I", interface)
    if ":" in source:
        return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, socket.inet_pton(socket.AF_INET6, source) + number
    return socket.IPPROTO_IP, _IP_PKTINFO, number + socket.inet_aton(source) + bytes(4)


def named(function, *arguments):
    """Returns 'sent', or the name of an errno."""
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "sent"
