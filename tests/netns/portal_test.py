#!/usr/bin/python3
"""Real portals in front of people's web programs: nginx, Apache and Caddy with the configurations that are shipped, and
Chromium. Before the firewall has the desk for portals, a stand-in answers in its place; nothing is refused later."""

import base64
import os
import pathlib
import re
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import FOLDER, V4, V6, wait_until  # noqa: E402
from lab.chromium import Chromium  # noqa: E402
from lab.tree import Trouble  # noqa: E402
from lab.web_portals import DOMAIN, HTTP, MINE, OURS, PASSWORDS, REAL, ROOT, Portals, WithNginx, basic  # noqa: E402

writing = False


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
        self.assertEqual((seen.code, seen.client[0]), (200, "fd77::1"), seen)
        for name in ("elsewhere-8888", "localhost-22", "node2-0", "node2-65536", "node2-99999999", "167772167-80"):
            self.assertEqual(self.get(f"{name}.{DOMAIN}", **basic("alice")).code, 403, name)
        # Trap 9: HTTP/2 in front.
        for user, code in (("alice", "2 200"), ("carol", "2 403")):
            self.assertEqual(self.one.run(
                "curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "-u",
                f"{user}:{PASSWORDS[user]}", "--resolve", f"{host}:443:127.0.0.1", f"https://{host}/echo"), code)
        # Trap 11: no connection to a program outlives its request, so nobody else's goes over it.
        seen = {self.get(f"node2-{OURS}.{DOMAIN}", **basic(user)).client[1]
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
        self.assertLess(time.monotonic() - start, 8)
        self.portal.kill()
        start = time.monotonic()
        self.assertEqual(self.get(host, **basic("alice")).code, 500)
        self.assertLess(time.monotonic() - start, 5)
        self.portal.start()
        self.assertEqual(self.get(host, **basic("alice")).code, 200)

    def test_nginx_with_a_path_for_each_program(self):
        careful = self.shipped("nginx/path.conf")
        careless = FOLDER / "careless.conf"
        text = re.sub(r"(?m)^ *auth_basic.*\n", "", careful.read_text())
        careless.write_text(text.replace("listen 443 ssl http2", "listen 80"))
        self.start_nginx(careful, careless)
        # Trap 1, if a site falls into it: without auth_basic, the name is the browser's claim.
        seen = self.get("portal.example.org", f"/node/node2/{MINE}/echo", port=80, **basic("alice", "wrong"))
        self.assertEqual(seen.code, 200)

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
        for path in (f"/node/node2%00/{MINE}/echo", f"/node/alice@node2/{MINE}/echo", "/node/node2/22%0a/echo",
                     f"/node/node2/{MINE}@node2:22/echo", f"/node/node2/{MINE}%0d%0aUBF-User:%20alice/echo",
                     f"/node/../{MINE}/echo"):
            self.assertIn(self.get(host, path, **basic("carol")).code, (400, 403, 404), path)

    def test_nginx_behind_a_server_that_knows_the_name(self):
        """In oauth2-proxy's place is a server that says who has which cookie."""
        inner = FOLDER / "nginx-ubf"
        inner.mkdir(mode=0o700)
        shutil.chown(inner, "www-data")
        front = self.shipped("nginx/oauth2-proxy.conf", (r"/run/nginx-ubf/sock", str(inner / "sock")),
                             (r"/run/oauth2-proxy/sock", str(FOLDER / "who.sock")))
        who = FOLDER / "who.conf"
        who.write_text("map $cookie_session $known { default ''; a alice; b bob; c carol; }\n"
                       f"server {{ listen unix:{FOLDER}/who.sock;\n"
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


class Firewall(WithNginx):
    def test_nginx_and_a_firewall_that_restarts(self):
        if not REAL:  # the stand-in has no firewall
            return
        self.start_nginx(self.shipped("nginx/subdomain.conf"))
        host, _ = self.subdomain("node2", MINE)
        with self.assertRaises(Trouble):  # without asking, the portal's user is nobody in particular
            self.one.run("curl", "-sS", "-m", 5, f"http://{V4}:{MINE}/echo", user="www-data")
        self.assert_denied(self.ubfd2, "connector=www-data", "listener=alice")
        web = self.open_socket(host, "/socket", "alice")
        self.assertEqual(self.said_back(web), "hello")
        # The portal's ubfd may still know who listens on node2, but there the connection is refused: 502.
        for ubfd, codes in ((self.ubfd1, [500]), (self.ubfd2, [403, 502])):
            ubfd.kill()
            self.assertIn(self.get(host, **basic("alice")).code, codes)
            self.assertEqual(self.said_back(web), "hello")
            ubfd.start()
            self.assertEqual(self.said_back(web), "hello")
            wait_until(lambda: self.get(host, **basic("alice")).code == 200, 5, "a page")
        web = self.open_socket(host, "/socket", "alice")
        self.assertIn(f":{MINE}", self.ubfd2.ctl("flows", "--user", "alice").stdout)
        self.assertEqual(self.ubfd2.ctl("revoke", "--user", "alice").returncode, 0)
        self.assertNotEqual(self.said_back(web), "hello")


class Apache(Portals):
    def start_apache(self, text, *modules, **environment):
        self.write_secrets()
        for name in ("ask.lua", "ubf.lua", "ondemand.lua"):
            self.shipped(f"apache/{name}")
        loaded = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in (
            "mpm_event", "authn_core", "authn_file", "auth_basic", "authz_core", "authz_user", "lua", "proxy",
            "proxy_http", "proxy_wstunnel", "headers", "env", "setenvif", "mime", "reqtimeout", *modules))
        config = FOLDER / "apache.conf"
        config.write_text(f"{loaded}\nServerName portal.example.org\nListen 80\nUser www-data\nGroup www-data\n"
                          f"PidFile {FOLDER}/apache.pid\nErrorLog {FOLDER}/apache.log\nLogLevel info\n"
                          f"DefaultRuntimeDir {FOLDER}\nTypesConfig /dev/null\nThreadsPerChild 25\n"
                          f"AllowEncodedSlashes NoDecode\n{text}\n")
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
        seen = {self.get(host, f"/node/node2/{OURS}/echo", port=80, **basic(user)).client[1]
                for user in ("alice", "bob", "alice", "bob")}
        self.assertEqual(len(seen), 4)  # no pools
        path = f"/node/node2/{MINE}/echo"
        self.portal.kill()
        self.assertEqual(self.get(host, path, port=80, **basic("alice")).code, 403)
        self.portal.start()
        for _ in range(3):  # Lua's connections of before are gone
            self.assertEqual(self.get(host, path, port=80, **basic("alice")).code, 200)

    def ondemands_lua(self):
        """OnDemand's mod_ood_proxy/lib if UBF_OOD names it. Otherwise a stand-in with the hooks of OnDemand: its user
        map, and its node_proxy, which forwards to MATCH_HOST."""
        lib = FOLDER / "ood"
        if real := os.environ.get("UBF_OOD"):
            shutil.copytree(real, lib)
            return lib
        (lib / "ood").mkdir(parents=True)
        (lib / "ood" / "user_map.lua").write_text(
            "local user_map = {}\nfunction user_map.map(r, match, cmd, name)\n"
            "  return name:match(match)\nend\nreturn user_map\n")
        (lib / "node_proxy.lua").write_text("""
local user_map = require 'ood.user_map'
function node_proxy_handler(r)
  local e = r.subprocess_env
  if not user_map.map(r, e['OOD_USER_MAP_MATCH'], nil, r.user) then return 404 end
  local upgrade = (r.headers_in['Upgrade'] or ''):lower() == 'websocket'
  local uri = e['MATCH_URI'] or r.uri
  r.handler = 'proxy-server'
  r.proxyreq = apache2.PROXYREQ_REVERSE
  r.filename = 'proxy:' .. (upgrade and 'ws://' or 'http://') .. e['MATCH_HOST'] .. ':' .. e['MATCH_PORT'] .. uri
  return apache2.DECLINED
end
""")
        return lib

    def test_apache_with_the_hooks_of_open_ondemand(self):
        lib = self.ondemands_lua()
        location = "".join(
            f'<LocationMatch "^/{kind}/(?<host>[^/]+)/(?<port>\\d+){rest}">\nAuthType Basic\nAuthName x\n'
            f"AuthUserFile {FOLDER}/users\nRequire valid-user\n"
            "SetEnvIf Request_URI . OOD_USER_MAP_MATCH=^(%w+)@site$\n{}\n"
            f"LuaHookFixups {lib}/node_proxy.lua node_proxy_handler\n"
            "RequestHeader unset Authorization\n</LocationMatch>\n"
            for kind, rest in (("node", ""), ("rnode", "(?<uri>/.*|)")))
        ours = f"LuaHookFixups {FOLDER}/share/apache/ondemand.lua ubf_ondemand"
        others = f'<Location "/plain">\n{ours}\n</Location>\n'
        PASSWORDS.update({f"{user}@site": word for user, word in list(PASSWORDS.items())})
        self.addCleanup(lambda: [PASSWORDS.pop(user) for user in list(PASSWORDS) if "@" in user])
        begin = f"LuaScope thread\nLuaPackagePath {lib}/?.lua\n"
        self.start_apache(begin + location.replace("{}", ours) + others, OOD_LUA=str(lib))

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
                seen = self.echo_frames("portal.example.org", f"/rnode/node2/{port}/socket", user, 80)
                self.assertEqual(seen, "echoed")
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
        seen = {self.get(f"node2-{OURS}.{DOMAIN}", port=80, **basic(user)).client[1]
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
            figures = "".join(f"<figure><figcaption>{user} at {url}</figcaption>"
                              f"<img src='data:image/png;base64,{data}'></figure>" for user, data in pictures.items())
            page = "<style>body{margin:12px;display:flex;gap:12px;font:15px monospace;background:#dde3e9}" \
                "figure{margin:0}figcaption{padding:6px}img{width:744px;border:1px solid #9aa7b4}</style>" + figures
            (FOLDER / "both.html").write_text(page)
            both = browser.open(f"file://{FOLDER}/both.html")
            browser.wait_for(both, "carol at")
            browser.call("Emulation.setDeviceMetricsOverride", both, width=1528, height=392, deviceScaleFactor=1,
                         mobile=False)
            (ROOT / "docs" / "portals.png").write_bytes(browser.picture(both))


if __name__ == "__main__":
    writing = "--write" in sys.argv
    if writing:
        sys.argv.remove("--write")
    case.main()
