#!/usr/bin/python3
"""ubf-portal alone: questions over HTTP, good and hostile ones. A stand-in speaks for ubfd."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import Case, FOLDER, wait_until  # noqa: E402
from lab.node import Node  # noqa: E402
from lab.portal import Desk, UbfPortal, UnixClient, may, read_answer, write_portal_config  # noqa: E402
from lab.tree import Trouble, add_hosts, add_users  # noqa: E402
from lab.user_databases import look_names_up_in, offer_user_databases  # noqa: E402

HTTP = FOLDER / "portal" / "http.sock"
CONFIG = FOLDER / "portal.toml"
FORWARDS = FOLDER / "forwards"
PORTALS = 63030  # a group
USERS = case.USERS | {"ubf-portal": 63020, "web": 63021, "web2": 63022}
GROUPS = case.GROUPS | {"portals": (PORTALS, ["web", "web2"])}
HOSTS = {"node7 inner.cluster.example.org sly": "10.77.0.7", "sly loop": "127.0.0.1", "metadata": "169.254.169.254",
         "far.cluster.example.org": "10.78.0.1"}
TARGET = "10.77.0.7:8888"
MOST = 256  # connections


def reply(question):
    """alice may reach port 8888, and nobody else anything."""
    if question["user"] == "alice" and question["target"].endswith(":8888"):
        return {"allowed": True, "reason": "same-user", "address": question["target"]} | \
            ({"source": question["source"]} if "source" in question else {})
    return {"allowed": False, "reason": "different-user", "explain": "The program belongs to another user.",
            "status": 403}


class Portal(Case):
    def setUp(self):
        super().setUp()
        add_users(USERS, GROUPS)
        add_hosts(HOSTS)
        self.node = Node("node1")
        self.node.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        self.node.run("ip", "link", "set", "eth0", "up")
        self.node.run("ip", "link", "set", "eth1", "up")
        self.node.run("ip", "address", "add", "10.77.0.1/24", "dev", "eth0")
        self.desk = Desk(FOLDER / "portal.sock", reply)
        self.addCleanup(self.desk.close)
        write_portal_config(CONFIG, self.settings())
        self.portal = UbfPortal(case.build / "daemon" / "ubf-portal", self.node, CONFIG, HTTP)
        self.addCleanup(self.see_it_end)

    def settings(self, **more):
        return {"peers": {"ranges": case.PEERS}, "control": {"socket": str(FOLDER / "control.sock")},
                "portal": {"users": ["web", "web2"], "group": "portals", "domains": ["cluster.example.org"],
                           "socket": str(HTTP), "forward": str(FORWARDS), "source_ports": ["40000-40003"], **more}}

    def see_it_end(self):
        status = self.portal.process.poll()
        self.assertIn(self.portal.stop() if status is None else status, (0, -9), self.portal.log())
        self.assertNotIn("ERROR: ", self.portal.log())

    def may(self, user, target, *more, **options):
        return may(HTTP, user, target, *more, **options)

    def assert_served(self):
        self.assertEqual(self.may("alice", TARGET).code, 204)


class Questions(Portal):
    def test_an_answer_says_where_to_connect_or_why_not(self):
        with UnixClient(HTTP) as client:  # all on one connection
            answer = client.ask(("UBF-User", "alice"), ("UBF-Target", TARGET))
            self.assertEqual((answer.code, answer.reason, answer.address), (204, "same-user", TARGET))
            self.assertEqual(answer.fields["cache-control"], "no-store")
            for accept, form in ((None, None), ("text/html,*/*", "text/html; charset=utf-8"),
                                 ("application/json", "application/json")):
                answer = client.ask(("ubf-user", "bob"), ("ubf-target", TARGET),
                                    *([("Accept", accept)] if accept else []))
                self.assertEqual((answer.code, answer.reason, answer.status), (403, "different-user", "403"), answer)
                self.assertEqual(answer.explain, "The program belongs to another user.")
                self.assertEqual(answer.fields["cache-control"], "no-store")
                self.assertEqual(answer.fields["content-length"], str(len(answer.body)))
                self.assertEqual(answer.fields.get("content-type"), form)
            self.assertEqual(json.loads(answer.body)["reason"], "different-user")
            for method in ("HEAD", "POST", "PROPFIND"):
                self.assertEqual(client.ask(("Content-Length", "0"), method=method, uri="/v1/may/x?user=alice&target="
                                            "10.77.0.7%3A8888").code, 204, method)
            self.assertEqual(client.ask(("UBF-Target", TARGET)).code, 401)
            self.assertEqual(client.ask(uri="/").code, 404)
        self.assertEqual({(asked["asker"], asked["pid"]) for asked in self.desk.asked}, {(os.getuid(), os.getpid())})

    def test_only_the_group_of_portals_reaches_the_socket(self):
        state = HTTP.stat()
        self.assertEqual((state.st_mode & 0o777, state.st_gid), (0o660, PORTALS))
        ask = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", HTTP,
               f"http://ubf/v1/may?user=alice&target={TARGET}"]
        self.assertEqual(self.node.run(*ask, user="web"), "204")
        self.assertEqual(self.desk.asked[-1]["asker"], USERS["web"])
        with self.assertRaises(Trouble):
            self.node.run(*ask, user="carol")
        process = self.portal.process.pid
        threads = [thread for thread in pathlib.Path(f"/proc/{process}/task").iterdir()  # a sanitizer has one as well
                   if thread.name == str(process) or (thread / "comm").read_text() == "names\n"]
        self.assertEqual(len(threads), 5)
        for thread in threads:
            status = (thread / "status").read_text()
            for line in ("CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"):
                self.assertIn(line, status)

    def test_a_name_is_resolved_here_and_every_address_of_it_counts(self):
        for target, code, reason in (("node7:8888", 204, "same-user"), ("NODE7:8888", 204, "same-user"),
                                     ("inner.cluster.example.org:8888", 204, "same-user"),
                                     ("inner.example.org:8888", 403, "not-a-target"),
                                     ("sly:8888", 403, "not-a-target"), ("loop:8888", 403, "not-a-target"),
                                     ("metadata:8888", 403, "not-a-target"), ("nowhere:8888", 403, "not-a-target"),
                                     ("far.cluster.example.org:8888", 403, "not-a-target")):
            answer = self.may("alice", target)
            self.assertEqual((answer.code, answer.reason), (code, reason), target)
        self.assertEqual({asked["target"] for asked in self.desk.asked}, {TARGET})

    def test_a_source_is_told_to_those_who_want_one(self):
        sources = {self.may("alice", "10.77.0.1:8888", ("UBF-Want-Source", "1")).source for _ in range(8)}
        self.assertEqual(sources, {f"10.77.0.1:{port}" for port in range(40000, 40004)})
        self.assertIsNone(self.may("alice", TARGET).source)

    def test_a_forward_is_a_file_that_its_owner_alone_has_written(self):
        def forward(name, text="node7:8888\n", mode=0o644, owner="alice"):
            file = FORWARDS / name
            file.write_text(text)
            file.chmod(mode)
            os.chown(file, USERS[owner], USERS[owner])
            return file

        FORWARDS.mkdir()
        FORWARDS.chmod(0o1777)
        forward("results")
        forward("address", "10.77.0.7:8888")
        forward("outside", "127.0.0.1:22")
        forward("loop", "results")
        forward("long", "node7:8888\n" + "#" * 400)
        forward("writable", mode=0o666)
        os.link(forward("linked"), FORWARDS / "second")
        os.symlink("results", FORWARDS / "symbolic")
        os.symlink("/etc", FORWARDS / "etc")
        os.mkfifo(FORWARDS / "fifo", 0o644)
        (FORWARDS / "folder").mkdir()
        forward("unreadable", mode=0o600)
        for name, code, reason in (
                ("results", 204, "same-user"), ("RESULTS", 204, "same-user"), ("address", 204, "same-user"),
                ("outside", 403, "not-a-target"), ("loop", 403, "malformed"), ("long", 403, "not-a-target"),
                ("writable", 403, "not-a-target"), ("linked", 403, "not-a-target"), ("second", 403, "not-a-target"),
                ("symbolic", 403, "not-a-target"), ("fifo", 403, "not-a-target"), ("folder", 403, "not-a-target"),
                ("unreadable", 403, "not-a-target"), ("missing", 403, "not-a-target"), ("../results", 403, "malformed"),
                ("etc/passwd", 403, "malformed"), (".", 403, "malformed"), ("..", 403, "malformed")):
            answer = self.may("alice", name)
            self.assertEqual((answer.code, answer.reason), (code, reason), f"{name}: {answer}")
        FORWARDS.chmod(0o777)  # anybody could replace anybody's
        self.assertEqual(self.may("alice", "results").reason, "not-a-target")

    def test_a_file_that_changes_all_the_time_leads_nowhere_else(self):
        FORWARDS.mkdir()
        FORWARDS.chmod(0o1777)
        (FORWARDS / "plain").write_text("node7:8888\n")
        secret = FOLDER / "secret"
        secret.write_text("node7:1\n")
        os.symlink(secret, FORWARDS / "link")
        exchange = self.node.start(
            "/usr/bin/python3", "-c", "import ctypes, sys\nlibc = ctypes.CDLL(None)\n"
            "while True: libc.renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 2)",
            FORWARDS / "plain", FORWARDS / "link")
        self.addCleanup(exchange.wait)
        self.addCleanup(exchange.kill)
        seen = {(answer.code, answer.reason) for answer in (self.may("alice", "plain") for _ in range(300))}
        self.assertLessEqual(seen, {(204, "same-user"), (403, "not-a-target")})
        self.assertEqual({asked["target"] for asked in self.desk.asked} - {TARGET}, set())


class Hostile(Portal):
    def test_forged_users_targets_and_headers_are_refused_unasked(self):
        malformed = ["", "..:80", "../etc:80", "node7%00:80", "alice@node7:80", "167772167:80", "0x0a4d0007:80",
                     "012.0115.0.7:80", "10.77.7:80", "[::ffff:10.77.0.7]:80", "10.77.0.7:0", "10.77.0.7:65536",
                     "10.77.0.7:-1", "10.77.0.7:+80", "10.77.0.7", "[fe80::1%eth0]:80", "node7:80/../x", "node7:80?x"]
        with UnixClient(HTTP) as client:
            for target in malformed:
                answer = client.ask(("UBF-User", "alice"), ("UBF-Target", target))
                self.assertEqual((answer.code, answer.reason, answer.status), (403, "malformed", "400"), target)
            for target in ("localhost:80", "127.0.0.1:80", "[::1]:80", "169.254.169.254:80", "0.0.0.0:80",
                           "224.0.0.1:80", "[fe80::1]:80", "metadata:80", "loop:80"):
                answer = client.ask(("UBF-User", "alice"), ("UBF-Target", target))
                self.assertEqual(answer.reason, "not-a-target", target)
            good = [("UBF-User", "alice"), ("UBF-Target", TARGET)]
            for more, uri in ((("UBF-User", "alice"), ""), (("ubf-user", "bob"), ""), (("UBF-Target", TARGET), ""),
                              (("X", "y"), "?user=bob"), (("X", "y"), "?target=10.77.0.8:80"),
                              (("X", "y"), "?user=alice&user=alice"), (("X", "y"), "?user=%"),
                              (("UBF-Want-Source", "yes"), ""), (("Cookie", "x" * 9000), "")):
                answer = client.ask(*good, more, uri="/v1/may" + uri)
                self.assertEqual((answer.code, answer.reason), (403, "malformed"), f"{more} {uri}"[:99])
            for user in ("..", "a b", "a;b", "-x", "a/b", "a%00b", "a\x80", "x" * 300):
                answer = client.ask(("UBF-User", user), ("UBF-Target", TARGET))
                self.assertEqual((answer.code, answer.reason), (403, "malformed"), user[:20])
        self.assertEqual(self.desk.asked, [])
        self.assert_served()

    def test_bytes_that_are_no_http_do_no_harm(self):
        head = b"GET /v1/may HTTP/1.1\r\nHost: ubf\r\nUBF-User: alice\r\nUBF-Target: 10.77.0.7:8888"
        for data in (b"\0" * 100, b"\r\n" * 5000, b"GET", b"GET /v1/may\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     head + b"\r\n x: folded\r\n\r\n", head + b"\r\nUBF-User : bob\r\n\r\n",
                     head + b"\r\nContent-Length: -1\r\n\r\n",
                     head + b"\r\nContent-Length: 99999999999999999999\r\n\r\n",
                     head + b"\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
                     head + b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 70000,
                     head + b"\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", b"GET /" + b"x" * 100_000,
                     head + b"\r\nX\0Y: z\r\n\r\n", os.urandom(4096)):
            with UnixClient(HTTP, seconds=0.2) as client, contextlib.suppress(OSError):
                client.socket.sendall(data)
                client.socket.recv(65536)
        self.assertIsNone(self.portal.process.poll(), self.portal.log())
        for asked in self.desk.asked:  # whatever came through was a whole question
            self.assertEqual((asked["user"], asked["target"]), ("alice", TARGET))
        self.assert_served()

    def test_a_thousand_idle_and_half_open_clients_hold_nobody_up(self):
        patient = UnixClient(HTTP)  # the longest idle of all
        self.addCleanup(patient.close)
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        slowest = 0
        for number in range(1000):
            client = UnixClient(HTTP)
            if number % 2:
                client.socket.sendall(b"GET /v1/may HTTP/1.1\r\nUBF-User: al")
            clients.append(client)
            if number % 50 == 0:
                start = time.monotonic()
                self.assert_served()
                slowest = max(slowest, time.monotonic() - start)
        print(f"the slowest answer beside {len(clients)} idle clients: {slowest * 1000:.1f} ms", file=sys.stderr)
        self.assertLess(slowest, 2)
        self.assertTrue(patient.is_closed())
        descriptors = f"/proc/{self.portal.process.pid}/fd"
        wait_until(lambda: len(os.listdir(descriptors)) < MOST + 40, 5, "evicted connections to be closed")
        for client in clients[-20:]:
            client.socket.setblocking(False)
            with self.assertRaises(BlockingIOError):  # the latest still are there
                client.socket.recv(1)

    def start_web(self):
        """Another portal, which has a connection that is idle. A line of input lets it ask there, and on a new one."""
        ask = ("import socket, sys, time\n"
               "def connection():\n"
               "    s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1]); return s\n"
               "idle = connection()\n"
               "print('there', flush=True); sys.stdin.readline()\n"
               "for s in idle, connection():\n"
               "    s.sendall(b'GET /v1/may?user=alice&target=10.77.0.7:8888 HTTP/1.1\\r\\nHost: u\\r\\n\\r\\n')\n"
               "    print(s.recv(100)[:12], flush=True)\n")
        web = self.node.start("/usr/bin/python3", "-c", ask, HTTP, user="web", stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
        self.addCleanup(web.wait)
        self.addCleanup(web.kill)
        self.assertEqual(web.stdout.readline(), "there\n")
        return web

    def assert_web_is_served(self, web):
        output, _ = web.communicate("\n", timeout=10)
        self.assertEqual(output.count("HTTP/1.1 204"), 2, output)

    def open_many(self, number, user=None):
        """Connections of root's; with questions, if it is a function that gives their users."""
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        for one in range(number):
            clients.append(UnixClient(HTTP))
            if user:
                time.sleep(0.001)  # so that answers come one after another as well
                clients[-1].socket.sendall(
                    f"GET /v1/may?user={user(one)}&target={TARGET} HTTP/1.1\r\nHost: u\r\n\r\n".encode())
        return clients

    def test_a_client_that_takes_its_share_does_not_evict_another(self):
        web = self.start_web()
        self.open_many(2 * MOST)
        self.assert_web_is_served(web)

    def test_questions_that_wait_hold_up_no_other_portal_and_all_get_an_answer(self):
        self.desk.reply = lambda question: reply(question) if question["user"] == "alice" else None
        web = self.start_web()
        clients = self.open_many(MOST + 50, user=lambda one: f"user{one}")
        start = time.monotonic()
        self.assert_web_is_served(web)
        self.assertLess(time.monotonic() - start, 0.9)
        for client in clients:
            self.assertEqual(read_answer(client.socket).reason, "no-answer")

    def test_one_persons_questions_hold_up_nobody_elses(self):
        """They wait for nodes that are silent."""
        self.desk.reply = lambda question: reply(question) if question["user"] == "alice" else None
        clients = self.open_many(2 * MOST, user=lambda _: "bob")
        for _ in range(5):
            start = time.monotonic()
            self.assert_served()
            self.assertLess(time.monotonic() - start, 0.5)
        reasons = [read_answer(client.socket).reason for client in clients[:100]]
        self.assertEqual([reasons.count(reason) for reason in ("no-answer", "busy")], [64, 36])


class SlowNames(Portal):
    """The user database hangs."""

    def setUp(self):
        offer_user_databases(self)
        super().setUp()

    def test_hold_no_question_up_at_a_reload(self):
        look_names_up_in("slow")
        self.portal.process.send_signal(signal.SIGHUP)
        for _ in range(5):
            start = time.monotonic()
            self.assert_served()
            self.assertLess(time.monotonic() - start, 1)
            time.sleep(0.2)
        self.assertNotIn("reloaded", self.portal.log())


class UbfdAway(Portal):
    def test_no_answer_of_ubfd_is_no_permission(self):
        self.desk.reply = lambda _: None
        start = time.monotonic()
        with UnixClient(HTTP) as slow, UnixClient(HTTP) as other:
            slow.socket.sendall(f"GET /v1/may?user=alice&target={TARGET} HTTP/1.1\r\nHost: u\r\n\r\n".encode())
            wait_until(lambda: self.desk.asked, 5, "the question")
            self.desk.reply = reply
            self.assertEqual(other.ask(("UBF-User", "alice"), ("UBF-Target", TARGET)).code, 204)  # beside it
            answer = read_answer(slow.socket)
        self.assertEqual((answer.code, answer.reason, answer.status), (403, "no-answer", "504"))
        self.assertGreater(time.monotonic() - start, 0.9)
        self.assertLess(time.monotonic() - start, 5)
        for nonsense in (b"x\n", b"[]\n", b"{}\n", b'{"id": -1}\n', b'{"id": "1", "allowed": true}\n'):
            self.desk.reply = lambda _, nonsense=nonsense: nonsense
            self.assertEqual(self.may("alice", TARGET).code, 503, nonsense)
        for half in ({"allowed": True}, {"allowed": "yes", "address": TARGET}, {"allowed": True, "address": "node7:80"},
                     {"allowed": True, "address": "127.0.0.1:8888"}):
            self.desk.reply = lambda _, half=half: half
            self.assertIn(self.may("alice", TARGET).code, (403, 503), half)
        self.desk.reply = lambda _: {"allowed": False, "reason": "a\r\nSet-Cookie: x", "explain": "<script>\r\n\r\n<b>",
                                     "status": 200}
        answer = self.may("alice", TARGET, ("Accept", "text/html"))
        self.assertEqual((answer.code, answer.status), (403, "403"))
        self.assertNotIn("set-cookie", answer.fields)
        self.assertNotIn("<script>", answer.body)
        self.desk.close()
        self.assertEqual(self.may("alice", TARGET).code, 503)
        self.assertEqual(self.may("alice", TARGET).reason, "unavailable")
        wait_until(lambda: "ubfd can't be asked" in self.portal.log(), 5, "a warning")
        self.desk = Desk(FOLDER / "portal.sock", reply)
        self.addCleanup(self.desk.close)
        self.assert_served()
        self.assertIn("ubfd can be asked again", self.portal.log())

    def test_a_reload_takes_a_good_file_only_and_a_stolen_socket_ends_it(self):
        def reload(text):
            self.portal.process.send_signal(1)
            wait_until(lambda: text in self.portal.log(), 5, f"'{text}' in {self.portal.log()}")

        write_portal_config(CONFIG, self.settings(domains=[]))
        reload("ubf-portal: reloaded")
        self.assertEqual(self.may("alice", "inner.cluster.example.org:8888").reason, "not-a-target")
        CONFIG.write_text("[portal]\nusers = 7\n")
        reload("not reloaded, all stays as it was")
        self.assert_served()
        HTTP.chmod(0o666)
        self.assertEqual(self.portal.process.wait(timeout=10), 70)
        self.assertIn("a restart makes it anew", self.portal.log())
        write_portal_config(CONFIG, self.settings(users=[]))
        self.portal.start()
        self.assertIn("portal.users is empty", self.portal.log())
        self.portal.kill()
        write_portal_config(CONFIG, self.settings())
        self.portal.start()  # in spite of the socket that is left
        self.assert_served()


if __name__ == "__main__":
    case.main()
