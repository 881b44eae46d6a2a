#!/usr/bin/python3
"""Output and messages of ubfctl."""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, cgroups, person  # noqa: E402
from lab.case import PEERS, PROJ, USERS, V4, V6, TwoNodes, wait_until  # noqa: E402

PORT, SHARED, EXEMPT = 9001, 9002, 9003
EX_USAGE, EX_UNAVAILABLE, EX_CANTCREAT, EX_CONFIG = 64, 69, 73, 78  # sysexits.h


class Ubfctl(TwoNodes):
    maxDiff = None
    settings = {"scope": {"exempt_ports": [EXEMPT]}}

    def ubfctl(self, *words, status=0, user=None, socket=True, output=False):
        """Returns the output or, if the command fails, the message. output: it has one all the same."""
        has_output = output
        if socket:
            words = ("--socket", self.ubfd2.socket, *words)
        process = self.two.start(case.build / "daemon" / "ubfctl", *words, user=user,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, status, errors)
        if status != 0 and not has_output:
            self.assertEqual(output, "")
            self.assertEqual(errors.count("\n"), 1, errors)
        return errors if status and not has_output else output

    def on_terminal(self, *words, **environment):
        """Returns the bytes that a terminal gets."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 60, 200, 0, 0))
        process = self.two.start(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, *words,
                                 stdin=follower, stdout=follower, stderr=follower,
                                 env=os.environ | {"TERM": "xterm"} | environment)
        self.addCleanup(process.kill)
        os.close(follower)
        seen = b""
        while True:
            self.assertTrue(select.select([leader], [], [], 20)[0], seen)
            try:
                seen += os.read(leader, 65536)
            except OSError:  # EIO: the other end is closed
                break
        os.close(leader)
        self.assertEqual(process.wait(timeout=10), 0, seen)
        return seen.decode().replace("\r\n", "\n")


class Status(Ubfctl):
    def setUp(self):
        super().setUp()
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.assertEqual(self.person("alice", self.one).connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "EHOSTUNREACH")

    def test_says_on_one_page_what_ubfd_does(self):
        text = self.ubfctl("status")
        for words in ("up since ", "ruleset   installed, managed by ubfd, queue rule: xt NFQUEUE",
                      "packets      0 of 16384 waiting", "verdicts  allow 1, deny 1",
                      "reasons   same-user 1, different-user 1", "owners    socket 2",
                      "recognition not in use: owners.recognise is false; 0 interfaces; stamped 0, recognised 0",
                      "10.77.0.1", " us median"):
            self.assertIn(words, text)
        self.assertLess(text.count("\n"), 24)

    def test_gives_programs_the_same_as_json(self):
        status = json.loads(self.ubfctl("status", "--json"))
        self.assertEqual((status["actions"]["allow"], status["actions"]["deny"]), (1, 1))
        self.assertEqual(sum(queue["packets"] for queue in status["queues"]), 2)
        self.assertEqual(status["peers"][0]["address"], "10.77.0.1")
        self.assertGreater(status["peers"][0]["answer_us"]["p50"], 0)
        self.assertEqual(status["kernel"]["denied"]["packets"], 1)

    def test_warns_where_the_kernel_rations_refusals(self):
        self.assertNotIn("warning", self.ubfctl("status"))
        self.two.set_sysctl("net.ipv4.icmp_ratemask", "6168")
        self.assertIn("warning   the kernel sends each node only about one refusal a second", self.ubfctl("status"))

    def test_the_node_is_first_and_then_problems_and_then_warnings(self):
        self.two.set_sysctl("net.ipv4.icmp_ratemask", "6168")
        lines = self.ubfctl("status").splitlines()
        self.assertTrue(lines[0].startswith("node2: ubfd "), lines[0])
        self.assertTrue(lines[1].startswith("warning   the kernel sends each node"), lines[1])
        self.ubfd1.kill()
        for _ in range(4):
            self.person("bob", self.one).connect("tcp", V4, PORT)
        wait_until(lambda: self.ubfd2.status()["peers_silent"] == 1)
        lines = self.ubfctl("status", status=2, output=True).splitlines()
        self.assertTrue(lines[1].startswith("peers     1 asked, 1 silent"), lines[1])
        self.assertIn("SILENT", lines[2])
        self.assertTrue(lines[3].startswith("warning   "), lines[3])

    def test_says_how_long_decisions_took(self):
        times = self.ubfd2.status()["decision_us"]
        self.assertEqual(sum(times["asked"]["counts"]), 2)
        self.assertEqual(len(times["queue"]["counts"]), len(times["bounds"]) + 1)
        self.assertGreater(times["asked"]["sum"], 0)
        self.assertEqual(self.person("bob", self.two).connect("tcp", V4, PORT), "EHOSTUNREACH")
        self.assertEqual(sum(self.ubfd2.status()["decision_us"]["queue"]["counts"]), 1)
        self.assertRegex(self.ubfctl("status"), r"latencies by this node alone: 1, half within \d+ us, .*answer: 2, ")

    def test_is_roots_alone(self):
        self.assertIn("root", self.ubfctl("status", user="alice", status=EX_UNAVAILABLE))

    def test_says_so_where_no_ubfd_runs(self):
        self.ubfd2.stop()
        self.assertIn("ubfd does not run; start it with 'systemctl start ubfd'", self.ubfctl("status", status=EX_UNAVAILABLE))


class Explain(Ubfctl):
    def setUp(self):
        super().setUp()
        self.alice = self.person("alice", self.two)
        for protocol in ("tcp", "udp"):
            self.alice.listen(protocol, "::", PORT)
        self.person("alice", self.two, group=PROJ).listen("tcp", "::", SHARED)

    def explain(self, source, destination, *words, status=0):
        text = lambda end: f"[{end[0]}]:{end[1]}" if ":" in end[0] else f"{end[0]}:{end[1]}"  # noqa: E731
        return self.ubfctl("explain", "--from", text(source), "--to", text(destination), *words, status=status)

    def flow_of(self, user, node, address, port, protocol="tcp"):
        """Begins a flow, which is allowed or refused. Returns its source."""
        somebody = self.person(user, node)
        handle = somebody.do(person.bound, protocol, "::" if ":" in address else "0.0.0.0", 0)
        somebody.do(person.begin, handle, address, port)
        return somebody.do(person.local_address, handle)

    def test_an_allowed_flow_step_by_step(self):
        source = self.flow_of("alice", self.one, V4, PORT)
        text = self.explain(source, (V4, PORT))
        self.assertRegex(text, re.compile(
            r"tcp 10\.77\.0\.1:\d+ -> 10\.77\.0\.2:9001 ends at this node, which decides\n"
            r"listener: a socket of alice\(63001\), program person\[\d+\], effective gid 63001, groups .*\n"
            r"connector: asked the ubfd of 10\.77\.0\.1\n"
            r"connector: a socket of alice\(63001\).*\n"
            r"verdict: allow, same-user\n"
            r"so: allow \(same-user\): both ends belong to one user\n"))

    def test_every_way_and_every_owner(self):
        for user, node, address, port, protocol, action, reason in (
                ("alice", self.one, V6, PORT, "tcp", "allow", "same-user"),
                ("alice", self.one, V4, PORT, "udp", "allow", "same-user"),
                ("alice", self.two, "127.0.0.1", PORT, "tcp", "allow", "same-user"),
                ("bob", self.two, "::1", PORT, "udp", "deny", "different-user"),
                ("bob", self.one, V4, PORT, "udp", "deny", "different-user"),
                ("bob", self.one, V4, SHARED, "tcp", "allow", "same-group")):
            source = self.flow_of(user, node, address, port, protocol)
            answer = json.loads(self.explain(source, (address, port), "--proto", protocol, "--json"))
            self.assertEqual((answer["verdict"]["action"], answer["verdict"]["reason"]), (action, reason))
            self.assertEqual((answer["listener"]["user"], answer["connector"]["user"]), ("alice", user))
            self.assertEqual(answer["connector"]["comm"], "person")

    def test_ends_that_nobody_owns(self):
        answer = self.explain(("10.77.0.1", 4000), (V4, PORT))
        self.assertIn("connector: no socket sends this flow now\n", answer)
        self.assertIn("so: deny (connector-unknown)", answer)
        self.assertIn("so: closed (no-listener)", self.explain(("10.77.0.1", 4000), (V4, 9999)))
        self.assertIn("so: deny (outside)", self.explain(("10.99.0.1", 4000), (V4, PORT)))

    def test_a_port_that_is_not_watched(self):
        self.alice.listen("tcp", "::", EXEMPT)
        self.assertIn("port 9003 is exempt", self.explain(("10.77.0.1", 4000), (V4, EXEMPT)))
        self.assertIn("port 80 is out of scope", self.explain(("10.77.0.1", 4000), (V4, 80)))

    def test_a_peer_that_is_silent(self):
        self.ubfd1.kill()
        self.assertIn("so: deny (no-answer)", self.explain(("10.77.0.1", 4000), (V4, PORT)))

    def test_an_exempt_listener_needs_no_answer_of_the_peer(self):
        self.ubfd2.configure({**self.ubfd2.settings, "policy": {"exempt_listeners": ["alice"]}})
        self.ubfd2.reload()
        self.ubfd1.kill()
        source = self.flow_of("bob", self.one, V4, PORT)
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "connected")
        answer = self.explain(source, (V4, PORT))
        self.assertIn("connector: not asked about, for it makes no difference\n", answer)
        self.assertIn("so: allow (exempt-listener)", answer)

    def test_an_interface_that_is_not_watched(self):
        self.ubfd2.configure({**self.ubfd2.settings, "scope": {"interfaces": ["lo"]}})
        self.ubfd2.reload()
        self.assertEqual(self.person("bob", self.one).connect("tcp", V4, PORT), "connected")
        self.assertIn("eth0 is not watched (scope.interfaces): the kernel lets it pass",
                      self.explain(("10.77.0.1", 4000), (V4, PORT)))
        here = self.explain(("127.0.0.1", 4000), ("127.0.0.1", PORT))
        self.assertNotIn("is not watched", here)

    def test_a_flow_that_ends_elsewhere_is_sent_there(self):
        message = self.explain((V4, 4000), ("192.0.2.1", PORT), status=1)
        self.assertIn("192.0.2.1 is not an address of this node; the listener's node decides, so ask there", message)

    def test_a_connection_that_nobody_has_begun(self):
        for user, port, verdict in (("alice", PORT, "allow (same-user)"), ("bob", PORT, "deny (different-user)"),
                                    ("bob", SHARED, "allow (same-group)"), ("carol", SHARED, "deny (different-user)")):
            for source, to in (("10.77.0.1", f"{V4}:{port}"), ("fd77::1", f"[{V6}]:{port}"), (V4, f"{V4}:{port}")):
                with self.subTest(f"{user} {source} {port}"):
                    text = self.ubfctl("explain", "--as", user, "--from", source, "--to", to)
                    self.assertIn(f"so: {verdict}", text)
                    self.assertIn("connector: supposed", text)

    def test_words_that_make_no_flow(self):
        for words in (("--from", "nonsense", "--to", f"{V4}:1"), ("--from", f"{V6}:1", "--to", f"{V4}:1"),
                      ("--from", "10.77.0.1:1", "--to", f"[{V6}]:1"),
                      ("--from", "10.77.0.1:99999", "--to", f"{V4}:1")):
            self.assertIn("explain takes two endpoints", self.ubfctl("explain", *words, status=1))
        self.assertIn("--to", self.ubfctl("explain", "--from", "10.77.0.1:1", status=EX_USAGE))


class Pages(Ubfctl):
    """Flows and peers, in columns, in colour, through a pager and over and over."""

    def setUp(self):
        super().setUp()
        self.alice = self.person("alice", self.two)
        self.alice.listen("tcp", "::", PORT)
        self.person("alice", self.two, group=PROJ).listen("tcp", "::", SHARED)
        self.assertEqual(self.person("alice", self.one).connect("tcp", V4, PORT), "connected")
        self.assertEqual(self.person("bob", self.one).connect("tcp", V6, SHARED), "connected")
        self.assertEqual(self.person("alice", self.two).connect("tcp", "127.0.0.1", PORT), "connected")
        wait_until(lambda: len(self.ubfd2.ask(command="flows")["flows"]) == 3)

    def test_flows_have_headings_and_the_columns_that_are_chosen(self):
        lines = self.ubfctl("flows").splitlines()
        self.assertEqual(lines[0], "node2: 3 flows allowed")
        self.assertRegex(lines[1], r"^FLOW +REASON +CONNECTOR +LISTENER +AGE$")
        self.assertEqual(len(lines), 5)
        self.assertIn("same-group  bob(63002)    alice(63001)", "\n".join(lines))
        lines = self.ubfctl("flows", "--no-headings", "-o", "to,proto", "--user", "bob").splitlines()
        self.assertEqual(lines, [f"[{V6}]:{SHARED}  tcp"])
        self.assertRegex(self.ubfctl("flows", "--output=+program").splitlines()[1], "AGE  PROGRAM$")
        self.assertIn("there is no column 'labels'; there are flow, ",
                      self.ubfctl("flows", "-o", "labels", status=EX_USAGE))

    def test_the_program_is_that_of_the_end_on_this_node(self):
        programs = dict(line.split("  ") for line in
                        self.ubfctl("flows", "--no-headings", "-o", "to,program").splitlines())
        self.assertRegex(programs[f"{V4}:{PORT}"], r"^person\[\d+\]$")
        self.assertRegex(programs[f"127.0.0.1:{PORT}"], r"^person\[(\d+)\] -> person\[(?!\1)\d+\]$")
        flows = json.loads(self.ubfctl("flows", "--json", "-o", "program"))["flows"]
        for flow in flows:
            pids = re.findall(r"\[(\d+)\]", flow["program"])
            uids = {os.stat(f"/proc/{pid}").st_uid for pid in pids}
            self.assertEqual(uids, {63001})  # bob's end is not here
        self.assertNotIn("program", json.loads(self.ubfctl("flows", "--json"))["flows"][0])

    def test_the_job_and_the_label_of_a_program(self):
        jobs = cgroups.JobCgroups()
        self.addCleanup(jobs.close)
        self.ubfctl("job", "begin", "--job", "1001", "--uid", str(USERS["alice"]), "--label", "red")
        jobs.put(self.alice.pid, USERS["alice"], 1001)
        rows = self.ubfctl("flows", "--no-headings", "-o", "to,job,label").splitlines()
        self.assertEqual(sorted(row.split() for row in rows),
                         sorted([[f"{V4}:{PORT}", "1001", "red"], [f"127.0.0.1:{PORT}", "1001", "red"],
                                 [f"[{V6}]:{SHARED}", "-", "-"]]))

    def test_peers_have_the_columns_that_are_chosen(self):
        lines = self.ubfctl("peers", "--no-headings", "-o", "state,peer").splitlines()
        self.assertEqual(sorted(lines), ["answers  10.77.0.1", "answers  fd77::1"])
        self.assertTrue(self.ubfctl("peers").startswith("node2: 2 peers asked, 0 silent\nPEER "))

    def test_colours_are_for_terminals_and_whoever_wants_them(self):
        bold = "\033[1m"
        self.assertNotIn(bold, self.ubfctl("flows"))
        self.assertIn(bold, self.ubfctl("flows", "--color=always"))
        self.assertIn(bold, self.on_terminal("--no-pager", "flows"))
        self.assertNotIn(bold, self.on_terminal("--no-pager", "flows", NO_COLOR="1"))
        self.assertNotIn(bold, self.on_terminal("--no-pager", "flows", "--color=never"))
        self.assertIn("auto, always or never", self.ubfctl("flows", "--color=pink", status=EX_USAGE))

    def test_a_terminal_gets_pages_through_a_pager(self):
        paged = self.on_terminal("flows", UBF_PAGER="sed s/^/paged:/", PAGER="false")
        self.assertEqual([line[:6] for line in paged.splitlines()], ["paged:"] * 5)
        for words, environment in ((("--no-pager", "flows"), {"UBF_PAGER": "false"}), (("flows",), {"UBF_PAGER": ""}),
                                   (("flows",), {"UBF_PAGER": "no-such-program"}), (("flows",), {"UBF_PAGER": "less"}),
                                   (("flows", "--json"), {"UBF_PAGER": "false"})):
            with self.subTest(f"{words} {environment}"):
                self.assertIn(f"{V4}:{PORT}", self.on_terminal(*words, **environment))
        # The exit status is the page's, even if nobody reads it to its end.
        self.on_terminal("status", UBF_PAGER="true")

    def test_a_page_comes_anew_as_often_as_is_asked(self):
        for command in ("flows", "peers", "status"):
            with self.subTest(command):
                process = self.two.start(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, command,
                                         "--watch=1", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.addCleanup(process.kill)
                head, seen = "node2: ", 0
                while seen < 2:
                    line = process.stdout.readline()
                    self.assertNotEqual(line, "")
                    seen += line.startswith(head)
                process.terminate()
                self.assertEqual(process.wait(timeout=10), -signal.SIGTERM)
                process.stdout.close()
        for pause in ("0", "x", "-1", "99999999"):
            self.assertIn("--watch", self.ubfctl("flows", f"--watch={pause}", status=EX_USAGE))


class Administrator(Ubfctl):
    def test_an_exception_opens_one_way_for_a_while(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        bob, carol = self.person("bob", self.one), self.person("carol", self.one)
        way = f"bob>alice tcp/{PORT}@{V4}"
        self.assertIn(way, self.ubfctl("allow", "--for", "8s", way))
        wait_until(lambda: bob.connect("tcp", V4, PORT) == "connected")
        self.assertEqual(carol.connect("tcp", V4, PORT), "EHOSTUNREACH")
        open_one = bob.connect("tcp", V4, PORT)
        self.assertEqual(open_one, "connected")
        self.ubfd2.kill()  # a restart forgets none
        self.ubfd2.start()
        self.assertIn(way, self.ubfctl("allow"))
        self.assertEqual(bob.connect("tcp", V4, PORT), "connected")
        self.ubfd2.wait_for_log(f"the exception '{way}' is over", seconds=15)
        self.assertEqual(self.ubfctl("allow"), "")
        self.assertEqual(bob.connect("tcp", V4, PORT), "EHOSTUNREACH")

    def test_an_exception_that_is_removed_ends_its_flows(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        bob = self.person("bob", self.one)
        way = f"bob>alice tcp/{PORT}"
        self.ubfctl("allow", "--for", "1h", way)
        wait_until(lambda: bob.connect("tcp", V4, PORT) == "connected")
        handle = bob.connect("tcp", V4, PORT).handle
        self.ubfctl("allow", "--remove", way)
        wait_until(lambda: bob.say(handle) == "ECONNRESET", seconds=15)
        self.assertEqual(bob.connect("tcp", V4, PORT), "EHOSTUNREACH")

    def test_a_bad_exception_is_refused(self):
        for words, message, status in (
                (("--for", "1h", "bob alice"), "is no exception", 1), (("--for", "1h", "nosuchuser>alice tcp/1"), "no user", 1),
                (("--for", "90d", "bob>alice tcp/1"), "30 days", 1), (("--for", "x", "bob>alice tcp/1"), "span", EX_USAGE),
                (("--for", "1h"), "allow takes", EX_USAGE), (("bob>alice tcp/1",), "allow takes", EX_USAGE),
                (("--remove", "bob>alice tcp/1"), "there is no exception", 1),
                (("--for", "1h", 'bob"]\n[x]>alice tcp/1'), "quotes", 1)):
            with self.subTest(words):
                self.assertIn(message, self.ubfctl("allow", *words, status=status))
        self.assertEqual(self.ubfctl("allow"), "")

    def test_the_settings_that_hold_and_where_they_stand(self):
        drop_in = self.ubfd2.config.with_suffix(".toml.d") / "role.toml"
        drop_in.parent.mkdir()
        drop_in.write_text("[scope]\nexempt_ports = [9100]\n")
        self.assertRegex(self.ubfctl("reload"), r"^scope.exempt_ports: \[ ?9100 ?\], before: \[ ?9003 ?\]\n$")
        text = self.ubfctl("config", "--set")
        self.assertRegex(text, rf"exempt_ports = \[ ?9100 ?\] +# {drop_in}:2\n")
        self.assertIn(f"# {self.ubfd2.config}:", text)
        self.assertNotIn("\nlength =", text)
        self.assertIn("\nlength = 16384\n", self.ubfctl("config"))
        drop_in.write_text("[scope]\nexempt_port = [9100]\n")
        self.assertIn("role.toml:2:1: [scope] has no key", self.ubfctl("reload", status=EX_CONFIG))

    def test_peers_are_listed_the_silent_ones_first(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.assertEqual(self.person("alice", self.one).connect("tcp", V4, PORT), "connected")
        lines = self.ubfctl("peers").splitlines()
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[2], r"^10\.77\.0\.1 +1 +0 +\d+ +\d+  answers$")
        self.assertEqual(len(self.ubfctl("peers", "--silent").splitlines()), 2)

    def test_metrics_are_prometheuss(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        self.person("bob", self.one).connect("tcp", V4, PORT)
        text = self.ubfctl("metrics")
        self.assertIn('ubf_packets_judged_total{action="deny",reason="different-user"} 1\n', text)
        self.assertIn("ubf_ruleset_installed 1\n", text)
        kinds, name = {}, None
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                name, kinds[name] = line.split()[2], line.split()[3]
            elif not line.startswith("#"):
                self.assertRegex(line, r'^[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? \d+(\.\d+)?$')
                sample = re.match("[a-z_]+", line)[0]
                self.assertIn(sample, [name + end for end in ("_bucket", "_sum", "_count")]
                              if kinds[name] == "histogram" else [name])
                self.assertEqual(kinds[name] == "counter", name.endswith("_total"), line)
        self.assertIn('ubf_decision_seconds_bucket{way="asked",le="+Inf"} 1\n', text)
        self.assertIn('ubf_decision_seconds_bucket{way="asked",le="0.00001"} 0\n', text)
        self.assertRegex(text, r'ubf_decision_seconds_sum\{way="asked"\} 0\.0\d+\n')
        self.assertIn('ubf_decision_seconds_count{way="queue"} 0\n', text)
        self.assertGreater(len(kinds), 25)
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        folder = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "prometheus"
        for file in ("ubf.dashboard.json", "ubf.rules.yml"):  # they name what is there
            used = set(re.findall(r"\bubf_[a-z_]+", re.sub(r'file=~"[^"]*"', "", (folder / file).read_text())))
            self.assertGreater(len(used), 7)
            self.assertLessEqual(used, set(kinds) | {"ubf_decision_seconds_bucket"})

    def test_a_prometheus_reads_them_and_its_alerts_hold(self):
        rules = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "prometheus" / "ubf.rules.yml"
        subprocess.run(["promtool", "check", "rules", rules], capture_output=True, check=True)
        folder = case.FOLDER / "prometheus"
        folder.mkdir()
        (folder / "prometheus.yml").write_text(
            f"rule_files: ['{rules}']\nglobal: {{evaluation_interval: 200ms}}\n"
            "scrape_configs: [{job_name: ubf, scrape_interval: 200ms, scrape_timeout: 200ms, "
            "static_configs: [{targets: ['127.0.0.1:1018']}]}]\n")
        self.serve_metrics()
        prometheus = self.two.start("prometheus", f"--config.file={folder / 'prometheus.yml'}",
                                    f"--storage.tsdb.path={folder / 'data'}", "--web.listen-address=127.0.0.1:9090",
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (prometheus.kill(), prometheus.wait()))

        def query(path):
            text = self.two.run("sh", "-c", f"curl -s 'http://127.0.0.1:9090/api/v1/{path}' || true")
            return json.loads(text)["data"] if text.startswith("{") else {}
        wait_until(lambda: query("query?query=ubf_ruleset_installed").get("result"), seconds=30)
        value = query("query?query=ubf_ruleset_installed")["result"][0]["value"][1]
        self.assertEqual(value, "1")
        groups = query("rules")["groups"]
        self.assertEqual([rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")], [])
        self.assertGreater(sum(len(group["rules"]) for group in groups), 7)
        board = json.loads(rules.with_name("ubf.dashboard.json").read_text())
        for shown in [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]:
            expression = shown.replace("$instance", ".*")  # as the dashboard begins
            found = []
            wait_until(lambda: found or found.extend(query("query?" + urllib.parse.urlencode({"query": expression}))
                                                     .get("result", [])), 10, expression)

    def serve_metrics(self):
        """As ubf-metrics.socket does."""
        server = self.two.start("systemd-socket-activate", "--accept", "--inetd", "--listen=127.0.0.1:1018",
                                case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, "metrics", "--http",
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (server.kill(), server.wait()))

    def test_metrics_over_http_are_one_page_and_nothing_else(self):
        self.serve_metrics()
        curl = ("curl", "-s", "--retry-connrefused", "--retry", "5", "-w", "%{http_code}")
        page = self.two.run(*curl, "http://127.0.0.1:1018/metrics", user="bob")  # a port that nobody watches
        self.assertIn("\nubf_ruleset_installed 1\n", page)
        self.assertTrue(page.endswith("200"), page)
        metrics = "http://127.0.0.1:1018/metrics"
        for words, code in ((("http://127.0.0.1:1018/",), "404"), (("-X", "POST", metrics), "405"),
                            (("-X", "G T", metrics), "400")):
            self.assertEqual(self.two.run(*curl, *words), code)
        self.ubfd2.kill()
        self.assertTrue(self.two.run(*curl, metrics).endswith("503"))

    def test_http_waits_for_nobody(self):
        """A client that says nothing, or talks on and on, is let go."""
        for sent in (b"GET /metrics HTTP/1.1\r\n", b"x" * 20000):
            ours, theirs = socket.socketpair()
            process = self.two.start(case.build / "daemon" / "ubfctl", "metrics", "--http",
                                     stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
            theirs.close()
            ours.sendall(sent)
            self.assertEqual(process.wait(timeout=30), 0)
            self.assertTrue(ours.recv(4096).startswith(b"HTTP/1.1 400 "))
            ours.close()
            process.stderr.close()

    def test_top_shows_rates_and_refusals_on_a_terminal_and_off_it(self):
        self.person("alice", self.two).listen("tcp", "::", PORT)
        bob = self.person("bob", self.one)
        bob.connect("tcp", V4, PORT)
        text = self.ubfctl("top", "--once")
        self.assertTrue(text.startswith("node2: ubfd "), text)
        for words in ("VERDICTS ON PACKETS", "DECISIONS, and how long", "with a peer's answer  ", "QUEUES", "PEERS",
                      "bob -> alice tcp 10.77.0.2:9001  different-user"):
            self.assertIn(words, text)
        leader, follower = pty.openpty()
        process = self.two.start(case.build / "daemon" / "ubfctl", "--socket", self.ubfd2.socket, "top", stdin=follower,
                                 stdout=follower, stderr=follower, env=dict(os.environ, TERM="xterm", LINES="40",
                                                                           COLUMNS="120"))
        os.close(follower)
        seen = b""
        while b"bob -> alice" not in seen or b"q: quit" not in seen:
            seen += os.read(leader, 65536)
        os.write(leader, b"pq")
        self.assertEqual(process.wait(timeout=10), 0)
        os.close(leader)

    def test_help_by_command_and_the_command_that_was_meant(self):
        for words in (("help", "report"), ("report", "--help")):
            text = self.ubfctl(*words, socket=False)
            self.assertTrue(text.startswith("Usage: ubfctl report ["), text)
            self.assertIn("Example\n  ubfctl report", text)
        self.assertIn("did you mean 'status'?", self.ubfctl("statsu", socket=False, status=EX_USAGE))

    def test_completion_names_every_command_and_its_options(self):
        script = self.ubfctl("completion", "bash", socket=False)
        test = f"{script}\nCOMP_WORDS=(ubfctl rep); COMP_CWORD=1; _ubfctl; echo ${{COMPREPLY[@]}}\n" \
               "COMP_WORDS=(ubfctl report --s); COMP_CWORD=2; _ubfctl; echo ${COMPREPLY[@]}\n" \
               "COMP_WORDS=(ubfctl status --w); COMP_CWORD=2; _ubfctl; echo ${COMPREPLY[@]}\n" \
               "COMP_WORDS=(ubfctl flows -o r); COMP_CWORD=3; _ubfctl; echo ${COMPREPLY[@]}\n" \
               "COMP_WORDS=(ubfctl flows --output pr); COMP_CWORD=3; _ubfctl; echo ${COMPREPLY[@]}\n"
        output = subprocess.run(["bash", "-c", test], capture_output=True, text=True, check=True).stdout
        self.assertEqual(output.splitlines(),
                         ["report", "--since --suggest --socket", "--watch", "reason", "proto program"])
        for shell in ("zsh", "fish"):
            self.assertIn("check-config", self.ubfctl("completion", shell, socket=False))


class Files(Ubfctl):
    def start_daemons(self):
        pass  # none of these needs a daemon

    def run_with(self, text, *words, status=0):
        file = case.FOLDER / "some.toml"
        file.write_text(text)
        return self.ubfctl(*words, file, status=status, socket=False)

    def test_check_config_says_whether_it_is_good(self):
        self.assertIn("good", self.run_with(f"[peers]\nranges = {json.dumps(PEERS)}\n", "check-config"))
        self.assertIn("some.toml:2:10: peers.ranges", self.run_with(
            '[peers]\nranges = "10.0.0.0/8"\n', "check-config", status=EX_CONFIG))

    def test_check_config_reads_the_key(self):
        good, link, bad, open_to_all = (case.FOLDER / f"{name}.key" for name in ("good", "link", "bad", "open"))
        self.ubfctl("keygen", good, socket=False)
        link.symlink_to(good)
        bad.write_text("ubf-key-1 1234\n")
        bad.chmod(0o600)
        open_to_all.write_text(good.read_text())
        open_to_all.chmod(0o644)

        def check(key, **options):
            return self.run_with(f'[peers]\nranges = {json.dumps(PEERS)}\n[ident]\nkey_file = "{key}"\n', "check-config",
                                 **options)

        self.assertNotIn("warning", check(good))
        self.assertIn("without it ubfd does not start", check(case.FOLDER / "none.key"))
        for key, words in ((link, "a symbolic link"), (bad, "bad.key:1: not a key"), (open_to_all, "lets others in")):
            self.assertIn(words, check(key, status=EX_CONFIG))

    def test_check_config_names_all_mistakes_at_once(self):
        file = case.FOLDER / "some.toml"
        file.write_text("[scope]\nports = [70000, 80]\n[log]\nfold_s = 0\n")

        def check(*words):
            process = self.two.start(case.build / "daemon" / "ubfctl", *words, "check-config", file,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            output, errors = process.communicate(timeout=20)
            self.assertEqual(process.returncode, EX_CONFIG)
            return output or errors

        lines = check().splitlines()
        self.assertEqual([line.split(f"ubfctl: {file}:")[1].split(":")[0] for line in lines], ["2", "4"])
        self.assertEqual([f"ubfctl: {line}" for line in json.loads(check("--json"))["mistakes"]], lines)

    def test_check_config_as_json(self):
        self.assertTrue(json.loads(self.run_with("", "check-config", "--json"))["ok"])
        process = self.two.start(case.build / "daemon" / "ubfctl", "--json", "check-config", "/nowhere",
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        answer = json.loads(process.communicate()[0])
        self.assertEqual((process.returncode, answer["ok"]), (EX_CONFIG, False))
        self.assertIn("/nowhere", answer["error"])

    def test_ruleset_prints_what_nft_takes_but_for_the_queue_that_this_kernel_lacks(self):
        text = self.run_with(f"[peers]\nranges = {json.dumps(PEERS)}\n[queue]\ncount = 2\n", "ruleset")
        self.assertIn("define queues = 0-1", text)
        lines = [line.replace("queue flags bypass,fanout to $queues", "counter") for line in text.splitlines()]
        file = case.FOLDER / "ubf.nft"
        file.write_text("\n".join(lines))
        for _ in range(2):  # the second time, the table exists
            self.two.run("nft", "-f", file)
        listed = self.two.run("nft", "list", "table", "inet", "ubf")
        self.assertIn('comment "ubf:verdict:no_verdict"', listed)

    def test_what_ubfd_installs_is_what_ruleset_prints(self):
        """nft lists both, and the test compares all but the queue rule."""
        settings = {"peers": {"ranges": PEERS}, "scope": {"exempt_ports": [8080], "interfaces": ["lo", "eth0"]}}
        ubfd = self.start_ubfd(self.two, settings)
        listing = ("nft", "--stateless", "list", "table", "inet", "ubf")
        installed = self.two.run(*listing)
        text = self.ubfctl("ruleset", ubfd.config, socket=False)
        ubfd.stop()
        file = case.FOLDER / "ubf.nft"
        file.write_text(re.sub(r"queue flags bypass(,fanout)? to \$queues", "counter", text))
        self.two.run("nft", "-f", file)
        imported = self.two.run(*listing)
        self.assertEqual(self.comparable(installed), self.comparable(imported))

    @staticmethod
    def comparable(listing):
        """Drops nft's remarks about xt NFQUEUE, since nft has no syntax for it."""
        return [line for line in listing.splitlines()
                if "ubf:gate:queue" not in line and not re.search("^# Warning|libxtables|XT target", line)]

    def test_keygen_makes_a_key_that_is_its_owners_alone(self):
        file = case.FOLDER / "new.key"
        os.umask(0)
        self.assertIn("copy it to every node", self.ubfctl("keygen", file, socket=False))
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        first = file.read_text()
        self.assertRegex(first, r"^ubf-key-1 [0-9a-f]{64}\n$")
        self.assertIn("left as it is", self.ubfctl("keygen", file, socket=False, status=EX_CANTCREAT))
        self.assertEqual(file.read_text(), first)
        other = case.FOLDER / "other.key"
        self.ubfctl("keygen", other, socket=False)
        self.assertNotEqual(other.read_text(), first)

    def test_help_names_every_command(self):
        text = self.ubfctl("--help", socket=False)
        for command in ("status", "explain", "check-config", "ruleset", "keygen", "--json", "--socket"):
            self.assertIn(command, text)

    def test_commands_that_it_does_not_know(self):
        self.assertIn("no command 'frobnicate'", self.ubfctl("frobnicate", socket=False, status=EX_USAGE))
        self.assertIn("which command?", self.ubfctl(socket=False, status=EX_USAGE))
        for words in (["status", "x"], ["ruleset", "--instal"], ["ruleset", "a", "b"], ["check-config", "--jsn"],
                      ["check-config", "a", "b"], ["keygen", "--force"], ["flows", "--us", "alice"], ["job", "end", "--jo", "1"],
                      ["explain", "--from", "10.0.0.1:1", "--t", "10.0.0.2:2"], ["explain", "x"]):
            with self.subTest(words):
                self.assertIn("ubfctl --help", self.ubfctl(*words, socket=False, status=EX_USAGE))
        self.assertEqual(self.two.run("nft", "list", "tables"), "")


if __name__ == "__main__":
    case.main()
