"""ubfd on a node."""

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time

from .tree import FOLDER, Trouble


def write_key(file, *keys):
    """Writes a key file like `ubfctl keygen`, with these keys (64 hex digits) or a new one."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text("".join(f"ubf-key-1 {key}\n" for key in keys or [secrets.token_hex(32)]))
    return file


def to_toml(settings):
    """Sections hold plain values, and further sections."""
    def named(key):
        return key if re.fullmatch(r"\w+", key) else json.dumps(key)

    def write(name, keys):
        plain = "".join(f"{named(key)} = {json.dumps(value)}\n" for key, value in keys.items()
                        if not isinstance(value, dict))
        return f"[{name}]\n{plain}" + "".join(write(f"{name}.{named(key)}", value) for key, value in keys.items()
                                             if isinstance(value, dict))
    return "".join(write(section, keys) for section, keys in settings.items())


class Ubfd:
    """The daemon, up and ready. settings: sections of keys. This class adds the paths of the key file and the control
    socket."""

    def __init__(self, program, node, key, settings, ready=None, supervisor=None, words=(), environment=None,
                 stderr=None, recognise=False):
        """ready: waits until the daemon is ready, if stderr is not the log. words: for the command line. stderr: a file
        to use instead of the log."""
        self.node = node
        self.socket = FOLDER / f"{node.name}.sock"
        self.user_socket = FOLDER / f"{node.name}.user.sock"
        self.config = FOLDER / f"{node.name}.toml"
        self._log = FOLDER / f"{node.name}.log"
        self._command = [program, "--config", self.config, *words]
        self._supervisor = supervisor
        self._environment = environment
        self._stderr = stderr
        self._key = key
        self._recognise = recognise
        self._ready = ready or (lambda: self.wait_for_log("ready: ", seconds=60))  # a guest loads modules first
        self.configure(settings)
        self.start()

    def configure(self, settings):
        """Writes the configuration. A running daemon reads it at reload()."""
        self.settings = settings
        own = {"control": {"socket": str(self.socket), "user_socket": str(self.user_socket)},
               "ident": {"key_file": str(self._key)}, "owners": {"recognise": self._recognise},
               "labels": {"state_directory": str(FOLDER / f"{self.node.name}.state")}}
        merged = {name: {**own.get(name, {}), **settings.get(name, {})} for name in {**own, **settings}}
        self.config.write_text(to_toml(merged))

    def reload_with(self, **sections):
        """Reloads with these settings over its own. Returns the log's line."""
        self.configure(self.settings | {name: self.settings.get(name, {}) | keys for name, keys in sections.items()})
        return self.reload()

    def begin(self):
        """Starts the daemon without waiting for it."""
        wrapper, options = self._supervisor.options() if self._supervisor else ((), {"env": self._environment})
        with open(self._log, "a") as log, open(self._stderr or os.devnull, "w") as elsewhere:
            self._seen = log.tell()
            self.process = self.node.start(*wrapper, *self._command, stdout=log,
                                           stderr=elsewhere if self._stderr else log, **options)

    def start(self):
        self.begin()
        try:
            self._ready()
        except Trouble:  # the caller has no handle to it, and the test's tree would wait for it
            self.process.kill()
            raise

    def wait_for_log(self, text, seconds=10):
        """Waits for this text in the log since the last start. Returns the line."""
        end = time.monotonic() + seconds
        while True:
            for line in self.log().splitlines():
                if text in line:
                    return line
            if self.process.poll() is not None:
                raise Trouble(f"ubfd on {self.node.name} ended with {self.process.returncode}: {self.log()}")
            if time.monotonic() > end:
                raise Trouble(f"ubfd on {self.node.name} did not say '{text}' in {seconds} s: {self.log()}")
            time.sleep(0.01)

    def log(self):
        """The log since the last start."""
        with open(self._log, errors="replace") as log:
            log.seek(self._seen)
            return log.read()

    def denials(self):
        return [line for line in self.log().splitlines() if " denied " in line]

    def ctl(self, *words, socket=None, **options):
        """Runs ubfctl on the node to its end. options: of the process. Returns it as subprocess.run() does."""
        command = [self._command[0].parent / "ubfctl", "--socket", socket or self.socket, *words]
        process = self.node.start(*command, **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options))
        output, errors = process.communicate(timeout=20)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def ask(self, **request):
        """Sends a request to the control socket. Returns the answer."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self.socket))
            control.sendall(json.dumps(request).encode() + b"\n")
            with control.makefile() as lines:
                return json.loads(lines.readline())

    def status(self, **more):
        return self.ask(command="status", **more)

    def reload(self):
        seen = len(self.log())
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while "reloaded" not in self.log()[seen:]:
            if time.monotonic() > end:
                raise Trouble(f"ubfd on {self.node.name} did not reload: {self.log()[seen:]}")
            time.sleep(0.01)
        return self.log()[seen:]

    def kill(self):
        """Kills the daemon, as the out-of-memory killer would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Stops the daemon. Returns the exit status."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=10)
        self.kill()
        raise Trouble(f"ubfd on {self.node.name} did not stop: {self.log()}")
