#!/usr/bin/python3
"""Real portals in front of people's web programs: nginx, Apache and Caddy with the configurations that are shipped, and
Chromium. Before the firewall has the desk for portals, a stand-in answers in its place, and nothing is refused later."""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time

import websocket

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import FOLDER, PEERS, PROJ, V4, V6, Case, wait_until  # noqa: E402
from lab.chromium import Chromium  # noqa: E402
from lab.node import Node, join  # noqa: E402
from lab.portal import Desk, UbfPortal, write_portal_config  # noqa: E402
from lab.tree import Trouble, add_hosts, add_users  # noqa: E402
from lab.ubfd import write_key  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "packaging" / "portal"
PROGRAM = ROOT / "tests" / "lab" / "web_program.py"
HTTP = FOLDER / "portal" / "http.sock"
writing = False
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
            self.ubfd1 = self.start_ubfd(self.one, {"peers": {"ranges": PEERS}, "portal": portal})
            self.ubfd2 = self.start_ubfd(self.two, {"peers": {"ranges": PEERS},
                                                    "portal": {"peers": ["10.77.0.1", "fd77::1"]}})
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
        for pattern, new in ((r"/run/ubf/portal/http\.sock", str(HTTP)), (r"/usr/share/ubf/portal", str(FOLDER / "share")),
                             (r"/etc/ssl/\S+\.pem", str(FOLDER / "cert.pem")), (r"/etc/ssl/\S+\.key", str(FOLDER / "cert.key")),
                             (r"/etc/(nginx|apache2)/users", str(FOLDER / "users")), *changes):
            text = re.sub(pattern, lambda _, new=new: new, text)
        copy = FOLDER / "share" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
        return copy

    def write_secrets(self):
        lines = [f"{user}:{subprocess.run(['openssl', 'passwd', '-apr1', word], capture_output=True, text=True, check=True).stdout.strip()}"
                 for user, word in PASSWORDS.items()]
        (FOLDER / "users").write_text("\n".join(lines) + "\n")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=*.{DOMAIN}",
                        "-addext", f"subjectAltName=DNS:*.{DOMAIN},DNS:portal.example.org", "-keyout", FOLDER / "cert.key",
                        "-out", FOLDER / "cert.pem"], capture_output=True, check=True)

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

    def echo_frames(self, host, path, user, port=443):
        """Opens a WebSocket. Returns what comes back, or the status of the refusal."""
        try:
            web = websocket.create_connection(f"ws://{host}{path}", socket=self.connect(port),
                                              header=[f"{key}: {value}" for key, value in basic(user).items()])
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
            f"user www-data; daemon off; worker_processes 1; pid {FOLDER}/nginx.pid; error_log {FOLDER}/nginx.log info;\n"
            f"events {{ worker_connections 2048; }}\nhttp {{ access_log off; server_tokens off;\n"
            f"include {FOLDER}/share/nginx/ubf-http.conf;\n{includes}\n}}\n")
        self.run_behind(self.one, "nginx", "-c", FOLDER / "nginx.conf")
        self.wait_for_listener(self.one, 443)

    @staticmethod
    def subdomain(host, port):
        return f"{host}-{port}.{DOMAIN}", "/"


class Nginx(WithNginx):
    def test_nginx_with_a_name_for_each_program(self):
        self.start_nginx(self.shipped("nginx/subdomain.conf"))
        host, _ = self.subdomain("node2", MINE)
        self.assert_people_are_told_apart(self.subdomain)
        self.assert_nobody_without_a_password(host, "/echo")
        self.assert_secrets_stay(host, "/echo")
        self.assert_ticket_in_time(host, "/echo")
        # Trap 3: the path and the query arrive as they were sent.
        for path in ("/echo/a%2Fb%20c?x=1&y=%2F", "/echo?x=a%3Fb", "/echo/%E4", "/echo//a/../b"):
            self.assertEqual(self.get(host, path, **basic("alice")).path, path)
        # Trap 4: IPv6, and names that lead elsewhere; the program's address comes from the answer alone.
        seen = self.get(f"sixnode2-{MINE}.{DOMAIN}", **basic("alice"))
        self.assertEqual((seen.code, seen.__getattr__("from")[0]), (200, "fd77::1"), seen)
        for name in ("elsewhere-8888", "localhost-22", "node2-0", "node2-65536", "node2-99999999", "167772167-80"):
            self.assertEqual(self.get(f"{name}.{DOMAIN}", **basic("alice")).code, 403, name)
        # Trap 9: HTTP/2 in front.
        for user, code in (("alice", "2 200"), ("carol", "2 403")):
            self.assertEqual(self.one.run(
                "curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "-u",
                f"{user}:{PASSWORDS[user]}", "--resolve", f"{host}:443:127.0.0.1", f"https://{host}/echo"), code)
        # Trap 11: no connection to a program outlives its request, so nobody else's goes over it.
        seen = {self.get(f"node2-{OURS}.{DOMAIN}", **basic(user)).__getattr__("from")[1]
                for user in ("alice", "bob", "alice", "bob")}
        self.assertEqual(len(seen), 4)
        # Trap 13: every request asks.
        if not REAL:
            before = len(self.desk.asked)
            for _ in range(5):
                self.get(host, **basic("alice"))
            self.assertEqual(len(self.desk.asked) - before, 5)
        # Trap 7: without ubf-portal nobody gets in, at once.
        self.portal.process.send_signal(19)  # SIGSTOP
        start = time.monotonic()
        self.assertEqual(self.get(host, **basic("alice")).code, 500)
        self.assertLess(time.monotonic() - start, 4)
        self.portal.kill()
        start = time.monotonic()
        self.assertEqual(self.get(host, **basic("alice")).code, 500)
        self.assertLess(time.monotonic() - start, 2)
        self.portal.start()
        self.assertEqual(self.get(host, **basic("alice")).code, 200)

    def test_nginx_with_a_path_for_each_program(self):
        self.start_nginx(self.shipped("nginx/path.conf"))

        def url(host, port):
            return "portal.example.org", f"/node/{host}/{port}/"

        self.assert_people_are_told_apart(url)
        host, path = url("node2", MINE)
        self.assert_nobody_without_a_password(host, path + "echo")
        self.assert_secrets_stay(host, path + "echo")
        for rest in ("/echo/a%2Fb%20c?x=1&y=%2F", "/echo?x=a%3Fb"):
            self.assertEqual(self.get(host, f"/node/node2/{MINE}{rest}", **basic("alice")).path, rest)
        self.assertEqual(self.get(host, f"/node/{V4}/{MINE}/echo", **basic("alice")).code, 200)
        self.assertEqual(self.get(host, f"/node/[{V6}]/{MINE}/echo", **basic("alice")).code, 200)
        # Trap 5: what was checked is what is reached.
        for path in (f"/node/node2/{MINE}/../../node2/{OURS}/echo", f"/node/node2/{MINE}/..%2f..%2fnode2/{OURS}/echo",
                     f"//node/node2/{OURS}/echo"):
            seen = self.get(host, path, **basic("bob"))
            self.assertIn("The project's notebook" if seen.code == 200 else "<title>", seen.text)
            self.assertNotIn("Alice", seen.text)
        for path in (f"/node/node2%00/{MINE}/echo", f"/node/alice@node2/{MINE}/echo", f"/node/node2/{MINE}@node2:22/echo",
                     f"/node/node2/{MINE}%0d%0aUBF-User:%20alice/echo", "/node/node2/22%0a/echo", f"/node/../{MINE}/echo"):
            self.assertIn(self.get(host, path, **basic("carol")).code, (400, 403, 404), path)

    def test_nginx_behind_a_server_that_knows_the_name(self):
        """In oauth2-proxy's place is a server that says who has which cookie."""
        inner = FOLDER / "nginx-ubf"
        inner.mkdir(mode=0o700)
        shutil.chown(inner, "www-data")
        front = self.shipped("nginx/oauth2-proxy.conf", (r"/run/nginx-ubf/sock", str(inner / "sock")))
        who = FOLDER / "who.conf"
        who.write_text("map $cookie_session $known { default ''; a alice; b bob; c carol; }\n"
                       "server { listen 127.0.0.1:4180;\n"
                       "location = /oauth2/auth { if ($known = '') { return 401; }\n"
                       "add_header X-Auth-Request-User $known always; return 202; }\n"
                       "location / { return 200 'please sign in'; } }\n")
        self.start_nginx(front, who)
        host, _ = self.subdomain("node2", OURS)
        for cookie, code in (("session=a", 200), ("session=b", 200), ("session=c", 403)):
            seen = self.get(host, Cookie=cookie, X_Ubf_Who="alice")
            self.assertEqual(seen.code, code, seen)
            if code == 200:
                self.assertEqual((seen.header("Cookie"), seen.header("X-Ubf-Who")), ([], []))
            self.assertEqual(self.get(host, X_Ubf_Who="alice").text, "please sign in")
        claim = ["curl", "-sf", "--unix-socket", inner / "sock", "-H", "X-Ubf-Who: alice", f"http://{host}/echo"]
        with self.assertRaises(Trouble):  # nobody else reaches the second server
            self.one.run(*claim, user="carol")
        inner.chmod(0o755)  # nginx leaves the socket itself open to all
        self.one.run(*claim, user="carol")


class Apache(Portals):
    def start_apache(self, text, *modules, **environment):
        self.write_secrets()
        for name in ("ask.lua", "ubf.lua", "ondemand.lua"):
            self.shipped(f"apache/{name}")
        loaded = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in (
            "mpm_event", "authn_core", "authn_file", "auth_basic", "authz_core", "authz_user", "lua", "proxy", "proxy_http",
            "proxy_wstunnel", "headers", "env", "setenvif", "mime", "reqtimeout", *modules))
        config = FOLDER / "apache.conf"
        config.write_text(f"{loaded}\nServerName portal.example.org\nListen 80\nUser www-data\nGroup www-data\n"
                          f"PidFile {FOLDER}/apache.pid\nErrorLog {FOLDER}/apache.log\nLogLevel info\nDefaultRuntimeDir {FOLDER}\n"
                          f"TypesConfig /dev/null\nThreadsPerChild 25\nAcceptPathInfo On\nAllowEncodedSlashes NoDecode\n{text}\n")
        self.run_behind(self.one, "apache2", "-DFOREGROUND", "-f", config,
                        env=dict(os.environ, UBF_PORTAL_SOCKET=str(HTTP), **environment))
        self.wait_for_listener(self.one, 80)

    @staticmethod
    def url(host, port):
        return "portal.example.org", f"/node/{host}/{port}/"

    def test_apache_that_requires_ubf(self):
        self.start_apache(f"Include {self.shipped('apache/apache.conf')}")
        host, path = self.url("node2", MINE)
        self.assert_people_are_told_apart(self.url, 80)
        self.assert_nobody_without_a_password(host, path + "echo", 80)
        self.assert_secrets_stay(host, path + "echo", 80)
        self.assert_ticket_in_time(host, path + "echo", 80)
        for rest in ("/echo/a%2Fb%20c?x=1&y=%2F", "/echo?x=a%3Fb"):
            self.assertEqual(self.get(host, f"/node/node2/{MINE}{rest}", port=80, **basic("alice")).path, rest)
        self.assertEqual(self.get(host, f"/node/[{V6}]/{MINE}/echo", port=80, **basic("alice")).code, 200)
        for path in (f"/node/elsewhere/{MINE}/echo", "/node/localhost/22/echo", "/node/node2/0/echo",
                     f"/node/alice@node2/{MINE}/echo", f"/node/node2%00/{MINE}/echo", "/node/node2/22%0d%0aX:y/echo"):
            self.assertIn(self.get(host, path, port=80, **basic("alice")).code, (400, 403, 404), path)
        seen = {self.get(host, f"/node/node2/{OURS}/echo", port=80, **basic(user)).__getattr__("from")[1]
                for user in ("alice", "bob", "alice", "bob")}
        self.assertEqual(len(seen), 4)  # no pools
        path = f"/node/node2/{MINE}/echo"
        self.portal.kill()
        self.assertEqual(self.get(host, path, port=80, **basic("alice")).code, 403)
        self.portal.start()
        for _ in range(3):  # Lua's connections of before are gone
            self.assertEqual(self.get(host, path, port=80, **basic("alice")).code, 200)

    def test_apache_with_the_hooks_of_open_ondemand(self):
        """A stand-in with OnDemand's hooks: its user map, and its node_proxy, which forwards to MATCH_HOST."""
        lib = FOLDER / "ood"
        (lib / "ood").mkdir(parents=True)
        (lib / "ood" / "user_map.lua").write_text(
            "local user_map = {}\nfunction user_map.map(r, match, cmd, name)\n"
            "  return name:match('^(%w+)@site$')\nend\nreturn user_map\n")
        (lib / "node_proxy.lua").write_text(
            "function node_proxy_handler(r)\n  local e = r.subprocess_env\n  if not e['MATCH_HOST'] then return apache2.DECLINED end\n"
            "  local ws = (r.headers_in['Upgrade'] or ''):lower() == 'websocket'\n"
            "  local uri = e['MATCH_URI'] and (e['MATCH_URI'] == '' and '/' or e['MATCH_URI']) or r.uri\n"
            "  r.handler = 'proxy-server'\n  r.proxyreq = apache2.PROXYREQ_REVERSE\n"
            "  r.filename = 'proxy:' .. (ws and 'ws://' or 'http://') .. e['MATCH_HOST'] .. ':' .. e['MATCH_PORT'] .. uri\n"
            "  return apache2.OK\nend\n")
        location = "".join(
            f'<LocationMatch "^/{kind}/(?<host>[^/]+)/(?<port>\\d+){rest}">\nAuthType Basic\nAuthName x\n'
            f"AuthUserFile {FOLDER}/users\nRequire valid-user\n{{}}\nLuaHookFixups {lib}/node_proxy.lua node_proxy_handler\n"
            "RequestHeader unset Authorization\n</LocationMatch>\n"
            for kind, rest in (("node", ""), ("rnode", "(?<uri>/.*|)")))
        ours = f"LuaHookFixups {FOLDER}/share/apache/ondemand.lua ubf_ondemand"
        others = f'<Location "/plain">\n{ours}\n</Location>\n'
        PASSWORDS.update({f"{user}@site": word for user, word in list(PASSWORDS.items())})
        self.addCleanup(lambda: [PASSWORDS.pop(user) for user in list(PASSWORDS) if "@" in user])
        self.start_apache("LuaScope thread\n" + location.replace("{}", ours) + others, OOD_LUA=str(lib))

        def get(path, user):
            return self.get("portal.example.org", path, port=80, **basic(user))

        for user, port, code in (("alice@site", MINE, 200), ("bob@site", MINE, 403), ("bob@site", OURS, 200),
                                 ("carol@site", OURS, 403), ("alice", MINE, 403)):
            seen = get(f"/rnode/node2/{port}/echo", user)
            self.assertEqual(seen.code, code, f"{user} {port}: {seen}")
            if code == 403:
                self.assertEqual(seen.fields["UBF-Reason"], "different-user" if "@" in user else "no-user")
                self.assertIn("<title>This page is not open to you</title>", seen.text)
                self.assertEqual(self.echo_frames("portal.example.org", f"/rnode/node2/{port}/socket", user, 80), 403)
            else:
                self.assertEqual(seen.path, "/echo")
                self.assertEqual(get(f"/node/node2/{port}/echo", user).path, f"/node/node2/{port}/echo")
                self.assertEqual(self.echo_frames("portal.example.org", f"/rnode/node2/{port}/socket", user, 80), "echoed")
        self.assertEqual(get("/plain", "alice").code, 404)  # declined, not denied
        self.portal.kill()
        self.assertEqual(get(f"/rnode/node2/{MINE}/echo", "alice@site").code, 403)


class Caddy(Portals):
    def test_caddy_with_a_name_for_each_program(self):
        self.write_secrets()
        people = "".join("\t\t{} {}\n".format(*self.one.run("htpasswd", "-nbBC", "4", user, word).strip().split(":"))
                         for user, word in PASSWORDS.items())
        config = self.shipped("caddy/Caddyfile", (r"(?m)^\*\.apps", "http://*.apps"), (r"\t\talice .*\n", people))
        config.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + config.read_text())
        bind = "+net_bind_service"
        self.run_behind(self.one, "setpriv", "--reuid=caddy", "--regid=caddy", "--init-groups", f"--inh-caps={bind}",
                        f"--ambient-caps={bind}", "caddy", "run", "--config", config, "--adapter", "caddyfile",
                        env=dict(os.environ, HOME=str(FOLDER), XDG_DATA_HOME=str(FOLDER)))
        self.wait_for_listener(self.one, 80)

        def url(host, port):
            return f"{host}-{port}.{DOMAIN}", "/"

        self.assert_people_are_told_apart(url, 80)
        host, _ = url("node2", MINE)
        self.assert_nobody_without_a_password(host, "/echo", 80)
        self.assert_secrets_stay(host, "/echo", 80)
        self.assert_ticket_in_time(host, "/echo", 80)
        for path in ("/echo/a%2Fb%20c?x=1&y=%2F", "/echo?x=a%3Fb"):
            self.assertEqual(self.get(host, path, port=80, **basic("alice")).path, path)
        self.assertEqual(self.get(f"sixnode2-{MINE}.{DOMAIN}", port=80, **basic("alice")).code, 200)
        for name in ("elsewhere-8888", "localhost-22", "node2-0", "node2-65536", "167772167-80"):
            self.assertEqual(self.get(f"{name}.{DOMAIN}", port=80, **basic("alice")).code, 403, name)
        seen = {self.get(f"node2-{OURS}.{DOMAIN}", port=80, **basic(user)).__getattr__("from")[1]
                for user in ("alice", "bob", "alice", "bob")}
        self.assertEqual(len(seen), 4)  # no pools
        self.portal.kill()
        self.assertIn(self.get(host, port=80, **basic("alice")).code, (500, 502, 503))


class Browser(WithNginx):
    """The picture in docs/portals.md comes from here: --write writes it anew."""

    def test_chromium_shows_page_socket_and_refusal(self):
        self.start_nginx(self.shipped("nginx/subdomain.conf"))
        browser = Chromium(self.one, FOLDER / "chromium", f"*.{DOMAIN}")
        self.addCleanup(browser.close)
        url = f"https://node2-{MINE}.{DOMAIN}/"
        tabs = {user: browser.open(url, user, PASSWORDS[user]) for user in ("alice", "carol")}
        self.assertIn("Alice's notebook", browser.wait_for(tabs["alice"], "it says hello"))
        refusal = browser.wait_for(tabs["carol"], "different-user")
        self.assertIn("This page is not open to you", refusal)
        self.assertNotIn("notebook", refusal)
        pictures = {user: base64.b64encode(browser.picture(tab)).decode() for user, tab in tabs.items()}
        if writing:
            figures = "".join(f"<figure><figcaption>{user} at {url}</figcaption><img src='data:image/png;base64,{data}'>"
                              "</figure>" for user, data in pictures.items())
            page = "<style>body{margin:12px;display:flex;gap:12px;font:15px monospace;background:#dde3e9}figure{margin:0}" \
                "figcaption{padding:6px}img{width:744px;border:1px solid #9aa7b4}</style>" + figures
            (FOLDER / "both.html").write_text(page)
            both = browser.open(f"file://{FOLDER}/both.html")
            browser.wait_for(both, "carol at")
            browser.call("Emulation.setDeviceMetricsOverride", both, width=1528, height=392, deviceScaleFactor=1, mobile=False)
            (ROOT / "docs" / "portals.png").write_bytes(browser.picture(both))


if __name__ == "__main__":
    writing = "--write" in sys.argv
    if writing:
        sys.argv.remove("--write")
    case.main()
