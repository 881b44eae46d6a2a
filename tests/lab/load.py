"""Many connections and datagrams of one person: actions for Person.do()."""

import contextlib
import errno
import resource
import select
import socket
import threading
import time

from .person import _open, _sockets, close, connect, keep, send_to

def ask_each(protocol, address, port, count, timeout=3):
    """Opens `count` connections, one after the other. Returns the number of each outcome."""
    results = {}
    for _ in range(count):
        result = connect(protocol, address, port, timeout)
        close(result["handle"])
        results[result["text"]] = results.get(result["text"], 0) + 1
    return results


def scan(protocol, addresses, ports):
    """Tries one connection to each port of each address, one after the other. Returns the number of each outcome."""
    results = {}
    for address in addresses:
        for port in ports:
            result = connect(protocol, address, port)
            close(result["handle"])
            results[result["text"]] = results.get(result["text"], 0) + 1
    return results


def connect_times(address, port, count):
    """The times of `count` connections, in seconds, without the failed ones."""
    times = []
    for _ in range(count):
        with _open("tcp", address) as sock:
            sock.settimeout(10)
            start = time.monotonic()
            with contextlib.suppress(OSError):
                sock.connect((address, port))
                times.append(time.monotonic() - start)
    return times


def connect_from_many(first, count, address, port):
    """Begins a connection from each of `count` addresses."""
    number = int.from_bytes(socket.inet_aton(first), "big")
    for offset in range(1, count + 1):
        sock = _open("tcp", address, bind=(socket.inet_ntoa((number + offset).to_bytes(4, "big")), 0))
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect((address, port))
        keep(sock)


def connect_steadily(address, port, per_second, seconds):
    """Opens this many connections a second. Returns the number of each outcome."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # all connections may wait at once
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    poll, begun, results = select.poll(), {}, {}
    start, count = time.monotonic(), 0

    def collect(timeout_ms):
        for fd, _ in poll.poll(timeout_ms):
            sock = begun[fd]
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not error:
                try:
                    sock.getpeername()
                except OSError:
                    continue  # the error can't be read yet
            poll.unregister(fd)
            del begun[fd]
            sock.close()
            name = errno.errorcode[error] if error else "connected"
            results[name] = results.get(name, 0) + 1

    while count < per_second * seconds:
        sock = _open("tcp", address)
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect((address, port))
        begun[sock.fileno()] = sock
        poll.register(sock, select.POLLOUT)
        count += 1
        collect(max(0, (start + count / per_second - time.monotonic()) * 1000))
    end = time.monotonic() + 40  # a SYN that was dropped four times is retransmitted after 15 s
    while begun and time.monotonic() < end:
        collect(100)
    if begun:
        results["timeout"] = len(begun)
    return results


def churn(count):
    """Opens and closes `count` UDP sockets."""
    for _ in range(count):
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()


def send_many(handle, count, burst):
    """Sends datagrams from a connected socket, with a pause after each burst. Returns the number that could be sent."""
    sock, sent = _sockets[handle], 0
    sock.setblocking(True)
    for number in range(count):
        with contextlib.suppress(OSError):
            sock.send(b"x")
            sent += 1
        if number % burst == burst - 1:
            time.sleep(0.005)
    return sent


_arrivals = {}  # handle -> number of datagrams that arrived


def count_arrivals(handle):
    sock = _sockets[handle]
    sock.setblocking(True)
    _arrivals[handle] = 0

    def run():
        with contextlib.suppress(OSError):  # until the socket is closed
            while True:
                sock.recv(65536)
                _arrivals[handle] += 1

    threading.Thread(target=run, daemon=True).start()


def arrivals(handle):
    return _arrivals[handle]


def leave_behind(addresses, port):
    """Sends a datagram to each address, and closes the socket before ubfd can ask about it."""
    for address in addresses:
        close(send_to("udp", address, port))
