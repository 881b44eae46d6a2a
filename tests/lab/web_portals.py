"""Portals in front of people's web programs, with the configurations that are shipped: the base of their tests."""

import base64
import contextlib
import http.client
import json
import pathlib
import re
import socket
import ssl
import subprocess
import time

import websocket

from . import case
from .case import FOLDER, PEERS, PROJ, V4, V6, Case, wait_until
from .node import Node, join
from .portal import Desk, UbfPortal, write_portal_config
from .tree import add_hosts, add_users
from .ubfd import write_key

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "packaging" / "portal"
PROGRAM = ROOT / "tests" / "lab" / "web_program.py"
HTTP = FOLDER / "portal" / "http.sock"
REAL = (ROOT / "daemon" / "tickets").is_dir()
PORTALS = 63030
USERS = case.USERS | {"ubf-portal": 63020}
GROUPS = case.GROUPS | {"portals": (PORTALS, ["www-data", "caddy"])}
MINE, OURS, CLOSED_PORT = 8888, 8889, 8890  # alice's alone, and her group's
WAY_IN = {("alice", MINE), ("alice", OURS), ("bob", OURS)}
DOMAIN = "apps.example.org"
PASSWORDS = {"alice": "a-secret", "bob": "b-secret", "carol": "c-secret"}


def basic(user, password=None):
    text = f"{user}:{password or PASSWORDS[user]}"
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def reply(question):
    """As ubfd would answer."""
    port = int(question["target"].rpartition(":")[2])
    if port == CLOSED_PORT:
        return {"allowed": False, "reason": "no-listener", "explain": "No program listens there.", "status": 404}
    if (question["user"], port) in WAY_IN:
        return {"allowed": True, "reason": "same-user", "address": question["target"]}
    return {"allowed": False, "reason": "different-user", "explain": "The program belongs to another user.",
            "status": 403}


class Seen:
    """A response of a portal."""

    def __init__(self, response):
        self.code, self.fields, self.text = response.status, dict(response.getheaders()), response.read().decode()

    def __getattr__(self, name):
        return json.loads(self.text)[name]

    def header(self, name):
        """The values of a header that reached the program."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __repr__(self):
        return f"<{self.code} {self.fields} {self.text[:300]}>"


class Portals(Case):
    exempt = []  # ports

    def setUp(self):
        super().setUp()
        add_users(USERS, GROUPS)
        add_hosts({"node2": V4, "sixnode2": V6, "elsewhere": "10.99.0.1"})
        self.one, self.two = Node("node1"), Node("node2")
        join(self.one, self.two, case.ADDRESSES)
        case.tell_of_each_refusal(self.one, self.two)
        self.start_firewall()
        for port, name, group in ((MINE, "Alice's notebook", None), (OURS, "The project's notebook", PROJ)):
            self.run_behind(self.two, "/usr/bin/python3", PROGRAM, port, name, user="alice", group=group)
        for port in (MINE, OURS):
            self.wait_for_listener(self.two, port)

    def start_firewall(self):
        portal = {"users": ["www-data", "caddy"], "for": ["60000-64000"], "group": "portals", "socket": str(HTTP)}
        if REAL:
            self.key = write_key(FOLDER / "key")
            both = {"peers": {"ranges": PEERS}, "scope": {"exempt_ports": self.exempt}}
            self.ubfd1 = self.start_ubfd(self.one, both | {"portal": portal})
            self.ubfd2 = self.start_ubfd(self.two, both | {"portal": {"peers": ["10.77.0.1", "fd77::1"]}})
            config = self.ubfd1.config
        else:
            self.desk = Desk(FOLDER / "portal.sock", reply)
            self.addCleanup(self.desk.close)
            config = write_portal_config(FOLDER / "portal.toml", {
                "peers": {"ranges": PEERS}, "control": {"socket": str(FOLDER / "control.sock")}, "portal": portal})
        self.portal = UbfPortal(case.build / "daemon" / "ubf-portal", self.one, config, HTTP)
        self.addCleanup(self.portal.kill)

    def run_behind(self, node, *command, **options):
        log = open(FOLDER / f"{pathlib.Path(str(command[0])).name}.out", "a")
        self.addCleanup(log.close)
        process = node.start(*command, stdout=log, stderr=log, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def wait_for_listener(self, node, port):
        def said():
            return f"a listener at {port}" + "".join(file.read_text() for file in FOLDER.glob("*.out"))

        wait_until(lambda: node.run("ss", "-Htln", "sport", "=", port).strip(), 10, said)

    def shipped(self, name, *changes):
        """A copy of a shipped file, with this lab's paths and names. changes: (regular expression, text)."""
        text = (SHIPPED / name).read_text()
        for pattern, new in ((r"/run/ubf/portal/http\.sock", HTTP), (r"/usr/share/ubf/portal", FOLDER / "share"),
                             (r"/etc/ssl/\S+\.pem", FOLDER / "cert.pem"), (r"/etc/ssl/\S+\.key", FOLDER / "cert.key"),
                             (r"/etc/(nginx|apache2)/users", FOLDER / "users"), *changes):
            text = re.sub(pattern, lambda _, new=new: str(new), text)
        copy = FOLDER / "share" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
        return copy

    def write_secrets(self):
        def openssl(*words):
            return subprocess.run(["openssl", *words], capture_output=True, text=True, check=True).stdout.strip()

        (FOLDER / "users").write_text("".join(f"{user}:{openssl('passwd', '-apr1', word)}\n"
                                              for user, word in PASSWORDS.items()))
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=*.{DOMAIN}", "-addext",
                f"subjectAltName=DNS:*.{DOMAIN},DNS:portal.example.org", "-keyout", FOLDER / "cert.key",
                "-out", FOLDER / "cert.pem")

    # --- a browser's part ---

    def connect(self, port=443):
        with self.one.inside():
            sock = socket.create_connection(("127.0.0.1", port), timeout=15)
        if port != 443:
            return sock
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(sock, server_hostname="x." + DOMAIN)

    def get(self, host, path="/echo", method="GET", port=443, body=None, **headers):
        """headers: with _ for -."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.connect(port)
        try:
            connection.request(method, path, body, {"Host": host} | {key.replace("_", "-"): value
                                                                      for key, value in headers.items()})
            return Seen(connection.getresponse())
        finally:
            connection.close()

    def open_socket(self, host, path, user, port=443):
        return websocket.create_connection(f"ws://{host}{path}", socket=self.connect(port),
                                           header=[f"{key}: {value}" for key, value in basic(user).items()])

    @staticmethod
    def said_back(web):
        """The echo, or the error in its place."""
        try:
            web.send("hello")
            return web.recv()
        except (OSError, websocket.WebSocketException) as error:
            return repr(error)

    def echo_frames(self, host, path, user, port=443):
        """Opens a WebSocket. Returns what comes back, or the status of the refusal."""
        try:
            web = self.open_socket(host, path, user, port)
        except websocket.WebSocketBadStatusException as refusal:
            return refusal.status_code
        with contextlib.closing(web):
            for number in range(50):
                web.send(f"{number}" * number)
                self.assertEqual(web.recv(), f"{number}" * number)
            return "echoed"

    def assert_people_are_told_apart(self, url, port=443):
        """url: from host and port to (Host, path) of the program's root."""
        for user, target, code in (("alice", MINE, 200), ("alice", OURS, 200), ("bob", MINE, 403), ("bob", OURS, 200),
                                   ("carol", MINE, 403), ("carol", OURS, 403), ("alice", CLOSED_PORT, 403)):
            host, path = url("node2", target)
            seen = self.get(host, path + "echo", port=port, Accept="text/html", **basic(user))
            self.assertEqual(seen.code, code, f"{user} {target}: {seen}")
            if code == 403:
                self.assertIn("no-listener" if target == CLOSED_PORT else "different-user", seen.text)
                self.assertIn("<title>", seen.text)
                self.assertEqual(self.echo_frames(host, path + "socket", user, port), 403)
            else:
                self.assertEqual(self.echo_frames(host, path + "socket", user, port), "echoed")

    def assert_secrets_stay(self, host, path, port=443):
        """Trap 2: the password, and the portal's session, don't reach the program."""
        for cookies, rest in (("session=x", []), ("a=1; session=x; b=2", ["a=1", "b=2"]), ("a=1; b=2", ["a=1", "b=2"]),
                              ("session=x; mysession=2", ["mysession=2"]), ("session=x; session=y", [])):
            seen = self.get(host, path, port=port, Cookie=cookies, **basic("alice"))
            self.assertEqual(seen.code, 200, seen)
            self.assertEqual(seen.header("Authorization"), [])
            kept = [cookie.strip() for value in seen.header("Cookie") for cookie in value.split(";") if cookie.strip()]
            self.assertEqual(kept, rest, cookies)
            for name in ("UBF-User", "UBF-Target", "UBF-Address", "X-Ubf-Who"):
                self.assertEqual(seen.header(name), [], seen)

    def assert_nobody_without_a_password(self, host, path, port=443):
        """Trap 1: a name that nobody has proven."""
        for headers in ({}, basic("alice", "wrong"), {"UBF_User": "alice"}, {"X_Ubf_Who": "alice"},
                        {"Remote_User": "alice"}, basic("alice", "wrong") | {"UBF_User": "alice"}):
            self.assertEqual(self.get(host, path, port=port, **headers).code, 401, headers)
        seen = self.get(host, path, port=port, UBF_User="alice", UBF_Target=f"node2:{OURS}", UBF_Address="10.77.0.1:1",
                        **basic("carol"))
        self.assertEqual(seen.code, 403, seen)

    def assert_ticket_in_time(self, host, path, port=443):
        """A body that takes 2 s: the portal connects before it is there, or while the ticket holds."""
        sock = self.connect(port)
        with contextlib.closing(sock):
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {basic('alice')['Authorization']}\r\n" \
                   "Content-Length: 10\r\n\r\n"
            sock.sendall(head.encode() + b"x" * 5)
            time.sleep(2)
            sock.sendall(b"x" * 5)
            response = http.client.HTTPResponse(sock)
            response.begin()
            seen = Seen(response)
        self.assertEqual((seen.code, seen.body), (200, 10), seen)


class WithNginx(Portals):
    def start_nginx(self, *servers):
        self.write_secrets()
        for name in ("ubf-http.conf", "ubf-server.conf", "ubf-location.conf"):
            self.shipped(f"nginx/{name}")
        includes = "\n".join(f"include {server};" for server in servers)
        (FOLDER / "nginx.conf").write_text(
            f"user www-data; daemon off; worker_processes 1; pid {FOLDER}/nginx.pid;\n"
            f"error_log {FOLDER}/nginx.log info;\n"
            f"events {{ worker_connections 2048; }}\nhttp {{ access_log off; server_tokens off;\n"
            f"include {FOLDER}/share/nginx/ubf-http.conf;\n{includes}\n}}\n")
        self.run_behind(self.one, "nginx", "-c", FOLDER / "nginx.conf")
        self.wait_for_listener(self.one, 443)

    @staticmethod
    def subdomain(host, port):
        return f"{host}-{port}.{DOMAIN}", "/"
