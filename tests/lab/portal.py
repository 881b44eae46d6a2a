"""ubf-portal on a node, and a stand-in for ubfd's desk for portals."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import threading
import time

from .tree import FOLDER, Trouble
from .ubfd import to_toml


def as_service(user):
    """The words before a command that give it the user and CAP_CHOWN alone, as the units of portals do."""
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--inh-caps=-all,+chown",
            "--ambient-caps=-all,+chown", "--bounding-set=-all,+chown"]


class Answer:
    """An HTTP response."""

    def __init__(self, code, fields, body):
        self.code, self.fields, self.body = code, {name.lower(): value for name, value in fields}, body

    def __getattr__(self, name):
        """answer.reason is UBF-Reason, and so on; None without the field."""
        return self.fields.get("ubf-" + name)

    def __repr__(self):
        return f"<{self.code} {self.fields} {self.body[:200]}>"


def read_answer(sock, method="GET"):
    response = http.client.HTTPResponse(sock, method=method)
    response.begin()
    return Answer(response.status, response.getheaders(), response.read().decode())


class UnixClient:
    """A connection to a Unix socket."""

    def __init__(self, path, seconds=10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(seconds)
        self.socket.connect(str(path))

    def ask(self, *fields, uri="/v1/may", method="GET"):
        """fields: (name, value), as bytes or text, which go out as they are."""
        lines = [f"{method} {uri} HTTP/1.1", "Host: ubf", *(f"{name}: {value}" for name, value in fields), "", ""]
        return self.send("\r\n".join(lines).encode("latin-1"), method)

    def send(self, data, method="GET"):
        self.socket.sendall(data)
        return read_answer(self.socket, method)

    def is_closed(self):
        """Whether the other side has closed it; waits for that."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def may(path, user, target, *more, **options):
    """Asks once, on a connection of its own."""
    with UnixClient(path) as client:
        return client.ask(("UBF-User", user), ("UBF-Target", target), *more, **options)


def ask_ubfd(questions, wait=1.1):
    """Asks ubfd's socket for portals, as ubf-portal does. Returns the answers in the order of the questions."""
    with UnixClient(FOLDER / "portal.sock", wait) as desk:
        for number, question in enumerate(questions):
            desk.socket.sendall(json.dumps({"may": question, "id": number}).encode() + b"\n")
        with desk.socket.makefile() as lines:
            answers = {answer["id"]: answer for answer in (json.loads(lines.readline()) for _ in questions)}
    return [answers[number] for number in range(len(questions))]


class UbfPortal:
    """ubf-portal, up and ready. config: ubfd's file."""

    user = "ubf-portal"

    def __init__(self, program, node, config, path):
        self.path = path  # of its socket
        self._node, self._command = node, [program, "--config", config]
        self._log = FOLDER / "ubf-portal.log"
        path.parent.mkdir(exist_ok=True)
        os.chmod(path.parent, 0o755)
        shutil.chown(path.parent, self.user)  # as systemd makes it
        self.start()

    def start(self):
        with open(self._log, "a") as log:
            self._seen = log.tell()
            self.process = self._node.start(*as_service(self.user), *self._command, stdout=log, stderr=log)
        end = time.monotonic() + 30
        while "ready: " not in self.log():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise Trouble(f"ubf-portal did not start: {self.log()}")
            time.sleep(0.01)

    def log(self):
        with open(self._log, errors="replace") as log:
            log.seek(self._seen)
            return log.read()

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=10)

    def kill(self):
        self.process.kill()
        self.process.wait()


def write_portal_config(file, settings):
    file.write_text(to_toml(settings))
    return file


class Desk:
    """Stands in for ubfd: answers at portal.sock by a function from the question to the reply's fields, or to None for
    no answer."""

    def __init__(self, path, reply):
        self.asked = []
        self.reply = reply
        self._connections = []
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        os.chmod(path, 0o666)
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection.makefile() as lines:
            for line in lines:
                question = json.loads(line)
                self.asked.append(question["may"])
                reply = self.reply(question["may"])
                if isinstance(reply, bytes):
                    connection.sendall(reply)
                elif reply is not None:
                    connection.sendall(json.dumps({"id": question["id"], **reply}).encode() + b"\n")

    def close(self):
        for sock in (self._socket, *self._connections):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
