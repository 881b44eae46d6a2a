"""Headless Chromium on a node, driven over a pipe (DevTools protocol), so that no port is open."""

import base64
import json
import os
import time

from .tree import Trouble


class Chromium:
    def __init__(self, node, profile, names):
        """profile: a folder for its files. names: a pattern of host names that are this node's loopback address."""
        to_read, to_write = os.pipe(), os.pipe()
        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--ignore-certificate-errors", "--no-first-run", "--disable-background-networking",
                   "--disable-component-update", "--remote-debugging-pipe", f"--user-data-dir={profile}",
                   f"--host-resolver-rules=MAP {names} 127.0.0.1", "about:blank"]
        # It reads commands from descriptor 3, and writes answers to 4.
        wrapper = ["bash", "-c", f'exec "$@" 3<&{to_read[0]} 4>&{to_write[1]}', "bash"]
        with open(profile.with_suffix(".out"), "w") as log:
            self.process = node.start(*wrapper, *command, stdout=log, stderr=log, pass_fds=(to_read[0], to_write[1]),
                                      env=dict(os.environ, HOME=str(profile.parent)))
        os.close(to_read[0])
        os.close(to_write[1])
        self._out, self._in = to_read[1], to_write[0]
        self._number, self._text = 0, b""

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._out)
        os.close(self._in)

    def call(self, method, session=None, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | \
            ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise Trouble(f"Chromium: {method}: {answer['error']}")
                return answer["result"]

    def _read(self):
        while b"\0" not in self._text:
            piece = os.read(self._in, 1 << 20)
            if not piece:
                raise Trouble("Chromium has ended")
            self._text += piece
        line, self._text = self._text.split(b"\0", 1)
        return json.loads(line)

    def open(self, url, user=None, password=None):
        """A tab of a person of their own, who logs in."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context, width=760, height=430)
        session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        self.call("Page.enable", session)
        if user:
            url = url.replace("://", f"://{user}:{password}@")
        self.call("Page.navigate", session, url=url)
        return session

    def text(self, session):
        return self.call("Runtime.evaluate", session, returnByValue=True,
                         expression="document.body ? document.title + '\\n' + document.body.innerText : ''"
                         )["result"].get("value") or ""

    def wait_for(self, session, words, seconds=20):
        end = time.monotonic() + seconds
        while words not in (text := self.text(session)):
            if time.monotonic() > end:
                raise Trouble(f"Chromium does not show '{words}' but: {text}")
            time.sleep(0.05)
        return text

    def picture(self, session):
        """A PNG of the tab."""
        return base64.b64decode(self.call("Page.captureScreenshot", session, format="png")["data"])
