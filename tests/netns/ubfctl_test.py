#!/usr/bin/python3
"""Output and messages of ubfctl."""

import json
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, cgroups  # noqa: E402
from lab.case import PROJ, USERS, V4, V6, wait_until  # noqa: E402
from lab.ubfctl import PORT, SHARED, Ubfctl  # noqa: E402

EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78  # sysexits.h


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


if __name__ == "__main__":
    case.main()
