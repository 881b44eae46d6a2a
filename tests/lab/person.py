"""People on a node: each is a process with its user's credentials that opens sockets on request."""

import contextlib
import errno
import itertools
import os
import pickle
import resource
import select
import signal
import socket
import struct
import threading
import time

from .node import become
from .tree import PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_PDEATHSIG, Trouble, call

TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_sockets = {}  # handle -> socket, in this process
_accepted = []  # connections that servers accepted
_handles = itertools.count(1)


class Seen(str):
    """A client's view: 'connected', the name of an errno, or 'timeout'. Knows its socket."""

    handle = None
    local = None  # (address, port); None if no connection began


# --- actions of a person; they run in the person's own process ---

def keep(sock):
    handle = next(_handles)
    _sockets[handle] = sock
    return handle


def _errno_name(error):
    if isinstance(error, TimeoutError):
        return "timeout"
    return errno.errorcode[error.errno]


def _open(protocol, address, bind=None, device=None, reuse_port=False, v6_only=None, number=0):
    """number: the IP protocol, if it differs from the name's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, TYPES[protocol], number)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if family == socket.AF_INET6 and v6_only is not None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
    if bind:
        sock.bind(resolve(*bind))
    return sock


def resolve(address, port):
    """Resolves the zone of a link-local address too, like fe80::1%eth0."""
    return socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4]


def _echo(sock):
    with contextlib.suppress(OSError):
        while data := sock.recv(65536):
            sock.sendall(data)


def _serve_tcp(listener):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            _accepted.append(connection)
            threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _serve_udp(sock):
    while True:
        try:
            data, sender = sock.recvfrom(65536)
            if sender is None:
                return
            sock.sendto(data, sender)
        except OSError as error:
            if error.errno == errno.EBADF:
                return


def bound(protocol, address, port, **options):
    return keep(_open(protocol, address, bind=(address, port), **options))


def keep_open(protocol, address):
    """Opens an unbound socket; address gives the family."""
    return keep(_open(protocol, address))


def bind(handle, address, port):
    _sockets[handle].bind(resolve(address, port))


def listen(protocol, address, port, answer=True, backlog=128, **options):
    handle = bound(protocol, address, port, **options)
    if protocol == "tcp":
        _sockets[handle].listen(backlog)
    if answer:
        serve(handle)
    return handle


def serve(handle):
    """Echoes all data."""
    sock = _sockets[handle]
    target = _serve_tcp if sock.type == socket.SOCK_STREAM else _serve_udp
    threading.Thread(target=target, args=(sock,), daemon=True).start()


def connect(protocol, address, port, timeout=3, **options):
    sock = _open(protocol, address, **options)
    sock.settimeout(timeout)
    local = None
    try:
        sock.connect(resolve(address, port))
        local = sock.getsockname()[:2]
        sock.send(b"hello")
        seen = Seen("connected" if sock.recv(100) == b"hello" else "closed")
    except OSError as error:
        seen = Seen(_errno_name(error))
    seen.handle, seen.local = keep(sock), local
    return seen.__dict__ | {"text": str(seen)}


def say(handle, text="hello", timeout=3):
    """Sends the text, and waits for the echo."""
    sock = _sockets[handle]
    sock.settimeout(timeout)
    try:
        sock.send(text.encode())
        return sock.recv(65536).decode()
    except OSError as error:
        return _errno_name(error)


def send_to(protocol, address, port, text="hello", **options):
    """Sends one datagram, or begins a connection, without waiting."""
    sock = _open(protocol, address, **options)
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect((address, port))
    if protocol == "udp":
        sock.send(text.encode())
    return keep(sock)


def end_accepted():
    """Closes all accepted connections from the server's side."""
    while _accepted:
        with contextlib.suppress(OSError):
            connection = _accepted.pop()
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def begin(handle, address, port):
    """Connects, and sends over UDP. Waits for the outcome, but doesn't report it."""
    sock = _sockets[handle]
    sock.settimeout(2)
    with contextlib.suppress(OSError):
        sock.connect(resolve(address, port))
        if sock.type == socket.SOCK_DGRAM:
            sock.send(b"hello")


def connect_bound(handle, address, port):
    _sockets[handle].connect((address, port))


def send_from(handle, address, port, text="hello"):
    with contextlib.suppress(OSError):  # the error reports the refusal of an earlier datagram
        _sockets[handle].sendto(text.encode(), resolve(address, port))


def rename(name):
    call("prctl", PR_SET_NAME, name, 0, 0, 0)


def enter_cgroup(path):
    """Makes the cgroup, and enters it."""
    os.makedirs(path, exist_ok=True)
    with open(f"{path}/cgroup.procs", "w") as processes:
        processes.write(str(os.getpid()))


def outcome(handle, timeout=3):
    """The outcome of send_to(): 'connected', 'hello' for an echoed datagram, or an errno."""
    sock = _sockets[handle]
    sock.settimeout(timeout)
    try:
        if sock.type == socket.SOCK_DGRAM:
            return sock.recv(65536).decode()
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        if not poll.poll(timeout * 1000):
            return "timeout"
        end = time.monotonic() + 1
        while True:
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                return errno.errorcode[error]
            with contextlib.suppress(OSError):
                sock.getpeername()
                return "connected"
            if time.monotonic() > end:  # no error came within a second after the wake-up, so it was read before
                return "closed"
    except OSError as error:
        return _errno_name(error)


def received(handle, timeout=1):
    """The next data at a socket without a server, or None."""
    sock = _sockets[handle]
    sock.settimeout(timeout)
    try:
        return sock.recv(65536).decode()
    except OSError:
        return None


def arrived(handle, timeout=1):
    """Whether any data arrived."""
    sock = _sockets[handle]
    sock.settimeout(timeout)
    try:
        return bool(sock.recv(65536))
    except OSError:
        return False


def local_address(handle):
    return _sockets[handle].getsockname()[:2]


def close(handle):
    sock = _sockets.pop(handle)
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that serves the socket
    sock.close()


def give(handle):
    return sock_to_pass(_sockets[handle])


class sock_to_pass:  # noqa: N801 (a marker for the conversation below)
    def __init__(self, sock):
        self.fd = os.dup(sock.fileno())


def take(fds):
    return keep(socket.socket(fileno=fds[0]))


# --- messages to and from a person ---

def _send(channel, message, fds=()):
    body = pickle.dumps(message)
    socket.send_fds(channel, [struct.pack("I", len(body))], list(fds))
    channel.sendall(body)


def _receive(channel):
    head, fds, _, _ = socket.recv_fds(channel, 4, 8)
    if not head:
        raise EOFError
    size = struct.unpack("I", head)[0]
    body = b""
    while len(body) < size:
        part = channel.recv(size - len(body))
        if not part:
            raise EOFError
        body += part
    return pickle.loads(body), fds


def _obey(channel):
    while True:
        (function, arguments, options), fds = _receive(channel)
        if function is take:
            arguments = (fds,)
        passed = ()
        try:
            result = function(*arguments, **options)
            if isinstance(result, sock_to_pass):
                passed, result = (result.fd,), None
            answer = ("result", result)
        except Exception as error:  # pylint: disable=broad-except
            answer = ("error", f"{type(error).__name__}: {error}")
        _send(channel, answer, passed)
        for fd in passed:
            os.close(fd)


class Person:
    """user: a name or a uid. group: the effective gid. groups: the supplementary groups. Without them, the person has
    those of a login. descriptors: the limit of open files. prepare: called in the new process, as root, before it takes
    the user's credentials."""

    def __init__(self, node, user, group=None, groups=None, dumpable=True, prepare=None, descriptors=None):
        self.name = f"{user}@{node.name}"
        self._channel, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid:
            theirs.close()
            self.do(os.getpid)  # the answer comes when the person is ready
            return
        try:
            self._channel.close()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            node.enter()
            os.closerange(3, theirs.fileno())  # other people's descriptors don't belong to this person
            os.closerange(theirs.fileno() + 1, 65536)
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
            if prepare:
                prepare()
            call("prctl", PR_SET_NAME, b"person", 0, 0, 0)
            become(user, group, groups)
            # A process that changed its user is hidden from that user, but a program started with exec() is not.
            call("prctl", PR_SET_DUMPABLE, 1 if dumpable else 0, 0, 0, 0)
            call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            _obey(theirs)
        except EOFError:
            os._exit(0)
        finally:
            os._exit(1)

    def do(self, function, *arguments, fds=(), **options):
        """Runs a function from a module's top level in the person's process."""
        return self.begin(function, *arguments, fds=fds, **options)()

    def begin(self, function, *arguments, fds=(), **options):
        """Like do(), but doesn't wait. Returns a function that waits and returns the result."""
        _send(self._channel, (function, arguments, options), fds)

        def finish():
            (kind, result), fds = _receive(self._channel)
            if kind == "error":
                raise Trouble(f"{self.name}: {function.__name__}{arguments}: {result}")
            return fds if fds else result

        return finish

    def listen(self, protocol, address, port, **options):
        return self.do(listen, protocol, address, port, **options)

    def connect(self, protocol, address, port, **options):
        answer = self.do(connect, protocol, address, port, **options)
        seen = Seen(answer.pop("text"))
        seen.__dict__.update(answer)
        return seen

    def say(self, handle, text="hello", **options):
        return self.do(say, handle, text, **options)

    def close(self, handle):
        self.do(close, handle)

    def hand_over(self, handle, other):
        """Gives the socket to another person as well. Returns the other's handle for it."""
        fds = self.do(give, handle)
        try:
            return other.do(take, fds=fds)
        finally:
            for fd in fds:
                os.close(fd)

    def leave(self):
        """Ends the process, which closes its sockets."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._channel.close()


def wait_until(condition, seconds=5, what="the condition"):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what() if callable(what) else what} did not come true within {seconds} s")
        time.sleep(0.01)
    return value
