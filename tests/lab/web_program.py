#!/usr/bin/python3
"""web_program.py PORT NAME: a person's web program, such as a notebook. It shows a page that opens a WebSocket, echoes
on WebSockets, and tells which request reached it below any path that has "echo" in it."""

import base64
import hashlib
import http.server
import json
import socket
import struct
import sys

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>
<style>body{{font:20px/1.5 sans-serif;margin:3em;background:#fff}}code{{background:#eef}}</style>
<h1>{name}</h1><p>A program on a node, which only its owner and their group may open.</p>
<p>Its WebSocket: <code id="socket">silent</code></p>
<script>
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "socket");
socket.onopen = () => socket.send("hello");
socket.onmessage = (message) => document.getElementById("socket").textContent = "it says " + message.data;
</script></html>
"""
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self._echo_frames()
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if "echo" in self.path:
            kind, text = "application/json", json.dumps({
                "name": NAME, "path": self.path, "headers": self.headers.items(), "body": len(body),
                "client": self.client_address[:2]})
        else:
            kind, text = "text/html", PAGE.format(name=NAME)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    do_GET = do_HEAD = do_POST = do_PUT = _answer

    def _echo_frames(self):
        key = self.headers["Sec-WebSocket-Key"].encode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while (head := self.rfile.read(2)) and len(head) == 2:
            length = head[1] & 127
            if length == 126:
                length = struct.unpack("!H", self.rfile.read(2))[0]
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(length)))
            if head[0] & 15 == 8:  # close
                return
            size = bytes([length]) if length < 126 else struct.pack("!BH", 126, length)
            self.wfile.write(head[:1] + size + data)
            self.wfile.flush()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


if __name__ == "__main__":
    NAME = sys.argv[2]
    Server(("::", int(sys.argv[1])), Handler).serve_forever()
