#!/usr/bin/python3
"""ubf-connect: a portal that can't ask proxies to a Unix socket, and the connection behind it is the person's. With
real ubfd on both nodes. Behind nginx; behind JupyterHub's proxy if UBF_CHP names its program, with routes by the
shipped class if UBF_HUB names the folder of JupyterHub's Python modules."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse

import websocket

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import FOLDER, PEERS, PROJ, V4, V6, TwoNodes, wait_until  # noqa: E402
from lab.portal import as_service  # noqa: E402
from lab.tree import Trouble, add_hosts, add_users  # noqa: E402

PROGRAM = pathlib.Path(__file__).resolve().parents[1] / "lab" / "web_program.py"
CLASS = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "portal" / "jupyterhub"
PORTALS, USER = 63030, "ubf-connect"
MINE, OURS = 8888, 8889  # alice's alone, and her group's
CONNECT = FOLDER / "connect"
ASK = """
import os, socket, sys
asker = socket.socket(socket.AF_UNIX)
asker.settimeout(10)
asker.connect(sys.argv[1])
asker.sendall(sys.stdin.buffer.read())
lines = asker.makefile()
for _ in range(int(sys.argv[2])):
    print(lines.readline(), end="")
"""


class Connect(TwoNodes):
    def setUp(self):
        super().setUp()
        add_hosts({"node2": V4, "sixnode2": V6, "elsewhere": "10.99.0.1"})
        for port, name, group in ((MINE, "Alice's notebook", None), (OURS, "The project's notebook", PROJ)):
            self.run_behind(self.two, "/usr/bin/python3", PROGRAM, port, name, user="alice", group=group)
            wait_until(lambda port=port: self.two.run("ss", "-Htln", "sport", "=", port).strip(), 10, "a listener")
        CONNECT.mkdir()
        shutil.chown(CONNECT, USER)
        CONNECT.chmod(0o755)
        self.start_broker()
        self.addCleanup(self.stop_broker)

    def start_daemons(self):
        add_users(case.USERS | {"ubf-portal": 63020, USER: 63021, "other": 63022, str(case.USERS["bob"]): 63009},
                  case.GROUPS | {"portals": (PORTALS, ["www-data", "other"])})
        exempt = {"policy": {"exempt_connectors": ["monitor"]}}
        self.ubfd1 = self.start_ubfd(self.one, exempt | {"peers": {"ranges": PEERS}, "portal": {
            "users": ["www-data", "other", "service"], "for": ["60000-63015"], "group": "portals"}})
        self.ubfd2 = self.start_ubfd(self.two, exempt)

    def run_behind(self, node, *command, **options):
        with open(FOLDER / "programs.out", "a") as log:
            process = node.start(*command, stdout=log, stderr=log, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def start_broker(self):
        with open(FOLDER / "broker.log", "w") as log:
            self.broker = self.one.start(
                *as_service(USER), case.build / "daemon" / "ubf-connect",
                "--config", self.ubfd1.config, "--folder", CONNECT, stdout=log, stderr=log)
        wait_until(lambda: "ready: " in self.said() or self.broker.poll() is not None, 20, self.said)

    def stop_broker(self):
        self.broker.kill()
        self.broker.wait()

    def said(self):
        return (FOLDER / "broker.log").read_text()

    def ask_lines(self, data, answers=1, user="www-data"):
        process = self.one.start("/usr/bin/python3", "-c", ASK, CONNECT / "ask.sock", answers, user=user,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        output, _ = process.communicate(data, timeout=20)
        return [json.loads(line) for line in output.splitlines()]

    def ask(self, user, target):
        return self.ask_lines(json.dumps({"user": user, "target": target}) + "\n")[0]

    def path(self, user, target):
        answer = self.ask(user, target)
        self.assertIn("path", answer)
        return answer["path"]

    def get(self, path, user="www-data", uri="/echo", seconds=10):
        """Returns the name of the program that answers; raises Trouble if none does."""
        text = self.one.run("curl", "-sS", "-m", seconds, "--unix-socket", path, f"http://x{uri}", user=user)
        return json.loads(text)["name"]

    def test_the_connection_is_the_persons(self):
        self.assertEqual(self.get(self.path("alice", f"{V4}:{MINE}")), "Alice's notebook")
        self.assertEqual(self.get(self.path("63001", f"[{V6}]:{MINE}")), "Alice's notebook")
        self.assertEqual(self.get(self.path("bob", f"sixnode2:{OURS}")), "The project's notebook")
        for user, port in (("bob", MINE), ("carol", OURS)):
            with self.assertRaises(Trouble):
                self.get(self.path(user, f"node2:{port}"))
            self.assert_denied(self.ubfd2, f"connector={user}", "listener=alice", "reason=different-user")
        with self.assertRaises(Trouble):  # without the broker, www-data is www-data
            self.one.run("curl", "-sS", "-m", 5, f"http://{V4}:{MINE}/echo", user="www-data")
        path = pathlib.Path(self.path("alice", f"node2:{MINE}"))
        self.assertEqual((path, oct(path.stat().st_mode & 0o777), path.stat().st_gid),
                         (CONNECT / "63001" / f"{V4}_{MINE}", "0o660", PORTALS))
        self.one.run("stat", path, user="www-data")
        with self.assertRaises(Trouble):  # nobody else learns which program alice has
            self.one.run("stat", path, user="carol")
        for user in ("carol", "alice"):  # not in the group
            with self.assertRaises(Trouble):
                self.get(path, user=user)
        with self.assertRaises(Trouble):  # no portal's user, though the mode lets root in
            self.get(path, user=None)
        status = pathlib.Path(f"/proc/{self.broker.pid}/status").read_text()
        self.assertIn("CapPrm:\t0000000000000001", status)  # CAP_CHOWN

    def test_questions_that_are_forged_or_out_of_reach_get_no_socket(self):
        for user, target, words in (
                ("root", f"node2:{MINE}", "portal.for"), ("0", f"node2:{MINE}", "portal.for"),
                # Nobody is exempt by a portal, nor is another portal.
                ("monitor", f"node2:{MINE}", "exempt"), ("service", f"node2:{MINE}", "exempt"),
                ("63002", f"node2:{MINE}", "no such user"),  # one user's name, and bob's uid
                ("nobody-there", f"node2:{MINE}", "no such user"), ("../alice", f"node2:{MINE}", "no user's name"),
                ("", f"node2:{MINE}", "no user's name"), ("alice", "127.0.0.1:8888", "this kind"),
                ("alice", "localhost:8888", "itself"), ("alice", "elsewhere:8888", "out of reach"),
                ("alice", "node2:22", "out of reach"), ("alice", "169.254.169.254:80", "this kind"),
                ("alice", "nowhere:8888", "no address"), ("alice", "node2.example.org:8888", "portal.domains"),
                ("alice", "0x0a4d0002:8888", "neither"), ("alice", f"node2:{MINE}/../../x", "no port")):
            self.assertIn(words, self.ask(user, target).get("error", ""), f"{user} {target}")
        self.assertEqual([file.name for file in CONNECT.iterdir()], ["ask.sock"])
        lines = ["[]", "{}", "7", "{", '{"user": 7, "target": []}', '{"user": "alice", "target": "node2:8888"}']
        answers = self.ask_lines("".join(line + "\n" for line in lines), 6)
        self.assertEqual(["error" in answer for answer in answers], [True] * 5 + [False])
        self.assertEqual(self.ask_lines("x" * 5000 + "\n"), [])
        self.assertEqual(self.ask_lines(json.dumps({"user": "alice", "target": f"node2:{MINE}"}) + "\n", user=None), [])
        self.assertEqual(self.get(self.path("alice", f"node2:{MINE}")), "Alice's notebook")

    def test_bytes_go_both_ways_whole_and_a_restart_keeps_the_sockets(self):
        path = self.path("alice", f"node2:{MINE}")
        with open(FOLDER / "upload", "wb") as file:
            file.write(os.urandom(8 << 20))
        text = self.one.run("curl", "-sS", "-m", 30, "--unix-socket", path, "-T", FOLDER / "upload", "-H", "Expect:",
                            "http://x/echo", user="www-data")
        self.assertEqual(json.loads(text)["body"], 8 << 20)
        for sign in (signal.SIGKILL, signal.SIGTERM):
            self.broker.send_signal(sign)
            self.assertEqual(self.broker.wait(timeout=10), 0 if sign == signal.SIGTERM else -sign, self.said())
            self.assertNotIn("ERROR: ", self.said())  # a sanitizer's report
            with self.assertRaises(Trouble):
                self.get(path)
            self.start_broker()
            self.assertEqual(self.get(path), "Alice's notebook")
        (CONNECT / "0").mkdir()
        (CONNECT / "0" / f"{V4}_{MINE}").touch()
        shutil.chown(CONNECT / "0", USER)
        self.stop_broker()
        self.start_broker()
        self.assertFalse((CONNECT / "0" / f"{V4}_{MINE}").exists())  # root is nobody's person
        # A reload takes rights away.
        portal = self.ubfd1.settings["portal"] | {"for": ["63002"]}
        self.ubfd1.configure(self.ubfd1.settings | {"portal": portal})
        self.broker.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in self.said(), 5, "a reload")
        self.assertFalse(pathlib.Path(path).exists())
        self.assertIn("portal.for", self.ask("alice", f"node2:{MINE}")["error"])

    def test_one_portal_leaves_room_for_another_to_ask(self):
        hold = ("import socket, sys\nopen_ = []\n"
                "for _ in range(300):\n    s = socket.socket(socket.AF_UNIX)\n    s.connect(sys.argv[1])\n"
                "    open_.append(s)\n"
                "print('there', flush=True)\nsys.stdin.read()\n")
        holder = self.one.start("/usr/bin/python3", "-c", hold, CONNECT / "ask.sock", user="other",
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.assertEqual(holder.stdout.readline(), "there\n")
        self.assertEqual(self.get(self.path("alice", f"node2:{MINE}")), "Alice's notebook")
        # Nor does a portal shut itself out: the longest idle of its connections ends.
        answer = self.ask_lines(json.dumps({"user": "bob", "target": f"node2:{OURS}"}) + "\n", user="other")
        self.assertIn("path", answer[0])

    def test_one_person_leaves_room_for_another(self):
        """512 connections of alice's, which stay; bob's still goes through."""
        mine, ours = self.path("alice", f"node2:{MINE}"), self.path("bob", f"node2:{OURS}")
        hold = ("import resource, socket, sys\nresource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))\nopen_ = []\n"
                "for _ in range(530):\n    s = socket.socket(socket.AF_UNIX)\n    s.connect(sys.argv[1])\n"
                "    open_.append(s)\n"
                "closed = 0\n"
                "for s in open_[-18:]:\n    s.settimeout(5)\n    closed += s.recv(1) == b''\n"
                "print(closed, flush=True)\nsys.stdin.read()\n")
        holder = self.one.start("/usr/bin/python3", "-c", hold, mine, user="www-data", stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.assertEqual(holder.stdout.readline(), "18\n")
        self.assertEqual(self.get(ours), "The project's notebook")
        holder.communicate("")
        wait_until(lambda: self.two.run("ss", "-Htn", "state", "established", "sport", "=", MINE) == "", 10,
                   "the connections to end")
        self.assertEqual(self.get(mine), "Alice's notebook")

    def test_behind_jupyterhubs_proxy_or_nginx(self):
        paths = {"/alice/": self.path("alice", f"node2:{MINE}"), "/bob/": self.path("bob", f"node2:{MINE}"),
                 "/bobs-group/": self.path("bob", f"node2:{OURS}")}
        if proxy := os.environ.get("UBF_CHP"):
            self.start_jupyterhubs_proxy(proxy, paths)
        else:
            self.start_nginx(paths)
        for place, code in (("/alice/", "200"), ("/bobs-group/", "200")):
            self.assertEqual(self.code(place), code)
            self.assertEqual(self.echoes(place), "hello")
        self.assertIn(self.code("/bob/"), ("502", "503"))
        self.assert_denied(self.ubfd2, "connector=bob", "listener=alice", "reason=different-user")

    def code(self, place):
        return self.one.run("curl", "-s", "-m", 10, "-o", "/dev/null", "-w", "%{http_code}",
                            f"http://127.0.0.1{place}echo")

    def echoes(self, place):
        with self.one.inside():
            sock = socket.create_connection(("127.0.0.1", 80), timeout=10)
        with contextlib.closing(websocket.create_connection(f"ws://x{place}socket", socket=sock)) as web:
            web.send("hello")
            return web.recv()

    def start_nginx(self, paths):
        locations = "".join(f"location {place} {{ proxy_pass http://unix:{path}:; proxy_http_version 1.1;\n"
                            "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }\n"
                            for place, path in paths.items())
        (FOLDER / "nginx.conf").write_text(
            f"user www-data; daemon off; pid {FOLDER}/nginx.pid; error_log {FOLDER}/nginx.log;\nevents {{}}\n"
            f"http {{ access_log off;\nserver {{ listen 80;\n{locations} }} }}\n")
        self.run_behind(self.one, "nginx", "-c", FOLDER / "nginx.conf")
        self.wait_for_the_proxy()

    def wait_for_the_proxy(self):
        wait_until(lambda: self.one.run("ss", "-Htln", "sport", "=", 80).strip(), 20, "the proxy")

    def start_jupyterhubs_proxy(self, program, paths):
        """As the hub does: routes by its REST interface."""
        bind = "+net_bind_service"
        self.run_behind(self.one, "setpriv", "--reuid=www-data", "--regid=www-data", "--init-groups",
                        f"--inh-caps={bind}", f"--ambient-caps={bind}", program, "--ip", "127.0.0.1", "--port", "80",
                        "--api-ip", "127.0.0.1", "--api-port", "81", env=dict(os.environ, CONFIGPROXY_AUTH_TOKEN="t"))
        self.wait_for_the_proxy()
        wait_until(lambda: self.one.run("ss", "-Htln", "sport", "=", 81).strip(), 20, "the proxy's interface")
        if hub := os.environ.get("UBF_HUB"):
            return self.route_by_the_hubs_class(hub)
        for place, path in paths.items():
            target = "unix+http://" + urllib.parse.quote(path, safe="")
            self.one.run("curl", "-sf", "-H", "Authorization: token t", "-d", json.dumps({"target": target}),
                         f"http://127.0.0.1:81/api/routes{place.rstrip('/')}")

    def route_by_the_hubs_class(self, hub):
        """hub: where Python finds JupyterHub, which compares the routes with its servers' addresses."""
        script = FOLDER / "route.py"
        script.write_text(f"""
import asyncio, sys
from ubf_proxy import UbfProxy
proxy = UbfProxy(api_url="http://127.0.0.1:81", auth_token="t", should_start=False,
                 connect_socket={str(CONNECT / "ask.sock")!r})
async def main():
    proxy.semaphore = asyncio.BoundedSemaphore(1)
    for place, user, port in (("/alice/", "alice", {MINE}), ("/bob/", "bob", {MINE}), ("/bobs-group/", "bob", {OURS})):
        await proxy.add_route(place, f"http://node2:{{port}}", dict(user=user))
    await proxy.add_route("/hub/", "http://127.0.0.1:8081", dict(hub=True))
    for place, route in sorted((await proxy.get_all_routes()).items()):
        print(place, route["target"])
    try:
        await proxy.add_route("/root/", "http://node2:8888", dict(user="root"))
    except RuntimeError as error:
        print(error)
asyncio.run(main())
""")
        said = self.one.run("/usr/bin/python3", script, user="www-data",
                            env=dict(os.environ, PYTHONPATH=f"{hub}:{CLASS}"))
        for line in (f"/alice/ http://node2:{MINE}", f"/bobs-group/ http://node2:{OURS}", "/hub/ http://127.0.0.1:8081",
                     "portal.for does not have this user"):
            self.assertIn(line, said)


if __name__ == "__main__":
    case.main()
