#!/usr/bin/python3
"""The cost of a portal's check: small requests through nginx to a person's program. The ways take turns, and differ in
one thing each, so that a difference is a part's cost. CPU time is that of each process. Asserts no time."""

import pathlib
import re
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import FOLDER, V4  # noqa: E402
from lab.cpu import cpu_seconds  # noqa: E402
from lab.web_portals import REAL, Portals  # noqa: E402

FAST, UNASKED, OWN = 8891, 8080, 8892  # alice's; exempt; the portal's own
ROUNDS, REQUESTS, PAGES, PAGE = 5, 2000, 20, 31
WAYS = {
    "exempt": "the kernel lets the connection in",
    "decided": "ubfd decides about the connection; nobody asks before",
    "floor": "nginx asks a server that always allows; the kernel lets the connection in",
    "asked": "the portal asks, and connects where the kernel lets it in",
    "checked": "the portal asks, and ubfd decides about the connection",
}
PARTS = {"the connection": ("exempt", "decided"), "the floor": ("exempt", "floor"),
         "the question": ("exempt", "asked"), "beyond the floor": ("floor", "asked"),
         "the check": ("decided", "checked"), "both": ("exempt", "checked")}


class PortalCost(Portals):
    exempt = [f"tcp/{UNASKED}"]

    def setUp(self):
        super().setUp()
        self.start_program("alice", FAST, UNASKED)
        self.start_program("www-data", OWN)
        floor = self.start_server(self.one, "nobody", f"listen unix:{FOLDER}/home-nobody/sock; "
                                  "keepalive_requests 1000000; return 204;")
        for name in ("ubf-http.conf", "ubf-server.conf", "ubf-location.conf"):
            self.shipped(f"nginx/{name}")
        share = FOLDER / "share" / "nginx"
        plain = re.sub(r"(?m)^(auth_request|error_page).*\n", "", (share / "ubf-location.conf").read_text())
        (share / "plain.conf").write_text(plain)
        for name, server in (("ubf-location.conf", "floor.conf"), ("ubf-server.conf", "floor-server.conf")):
            text = re.sub("/_ubf\\b(?!_)", "/_floor", (share / name).read_text())
            text = text.replace("http://ubf/", "http://floor/")
            (share / server).write_text(text.partition("location = /_ubf_refused")[0])
        (FOLDER / "nginx.conf").write_text(
            f"user www-data; daemon off; worker_processes 1; pid {FOLDER}/nginx.pid; error_log {FOLDER}/nginx.log;\n"
            f"events {{}}\nhttp {{ access_log off; keepalive_requests 1000000; include {share}/ubf-http.conf;\n"
            f"upstream floor {{ server unix:{FOLDER}/home-nobody/sock; keepalive 16; }}\n"
            f"server {{ listen 80; set $ubf_user alice; set $ubf_host {V4}; set $ubf_port {FAST};\n"
            f"include {share}/ubf-server.conf; include {share}/floor-server.conf;\n"
            f"location /floor {{ include {share}/floor.conf; proxy_pass http://{V4}:{UNASKED}; }}\n"
            f"location /exempt {{ include {share}/plain.conf; proxy_pass http://{V4}:{UNASKED}; }}\n"
            f"location /decided {{ include {share}/plain.conf; proxy_pass http://{V4}:{OWN}; }}\n"
            f"location /asked {{ include {share}/ubf-location.conf; proxy_pass http://{V4}:{UNASKED}; }}\n"
            f"location /checked {{ include {share}/ubf-location.conf; proxy_pass http://$ubf_address; }} }} }}\n")
        front = self.run_behind(self.one, "nginx", "-c", FOLDER / "nginx.conf")
        self.wait_for_listener(self.one, 80)
        self.counted = {"nginx": int(self.one.run("pgrep", "-P", front.pid).split()[0]),
                        "the floor's": int(self.one.run("pgrep", "-P", floor.pid).split()[0]),
                        "ubf-portal": self.portal.process.pid}
        if REAL:
            self.counted |= {"the portal's ubfd": self.ubfd1.process.pid, "the listener's ubfd": self.ubfd2.process.pid}

    def start_program(self, user, *ports):
        self.start_server(self.two, user, "".join(f"listen {port}; " for port in ports) +
                          "keepalive_requests 1; return 200 hello;")
        for port in ports:
            self.wait_for_listener(self.two, port)

    def start_server(self, node, user, text):
        home = FOLDER / f"home-{user}"
        home.mkdir(mode=0o777)
        home.chmod(0o777)
        paths = "".join(f"{kind}_temp_path {home}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (home / "program.conf").write_text(
            f"daemon off; pid {home}/pid; error_log stderr; worker_processes 1; events {{}}\n"
            f"http {{ access_log off; {paths} server {{ {text} }} }}\n")
        return self.run_behind(node, "nginx", "-e", "stderr", "-c", home / "program.conf", user=user)

    def requests(self, way, number, at_once):
        """The mean time of a request, in microseconds."""
        text = self.one.run("ab", "-q", "-k", "-n", number, "-c", at_once, f"http://127.0.0.1/{way}")
        self.assertRegex(text, rf"Complete requests: +{number}\n")
        self.assertRegex(text, r"Failed requests: +0\n")
        self.assertNotIn("Non-2xx", text)
        return float(re.search(r"Time per request: +([\d.]+) \[ms\] \(mean\)", text)[1]) * 1000

    def clocks(self):
        return {name: cpu_seconds(pid) for name, pid in self.counted.items()}

    def test_a_check_and_a_page_are_measured(self):
        latency, page, cpu = ({way: [] for way in WAYS} for _ in range(3))
        if not REAL:
            self.desk.reply = lambda question: {"allowed": True, "reason": "same-user", "address": question["target"]}
        for way in WAYS:
            self.requests(way, 100, 1)
        for _ in range(ROUNDS):
            for way in WAYS:
                before = self.clocks()
                latency[way].append(self.requests(way, REQUESTS, 1))
                cpu[way].append({name: (after - before[name]) / REQUESTS * 1e6
                                 for name, after in self.clocks().items()})
        for _ in range(PAGES):
            for way in WAYS:
                page[way].append(self.page(way))
        self.print_figures({"us a request, one at a time": latency,
                            f"ms a page of {PAGE} requests, six at a time": page,
                            "us CPU a request": {way: [sum(one.values()) for one in cpu[way]] for way in WAYS}})
        self.print_processes(cpu)

    def print_figures(self, figures):
        print("\n" + "\n".join(f"{way:>8}: {what}" for way, what in WAYS.items()))
        for unit, values in figures.items():
            print(f"{unit}; median (least to greatest)")
            for way in WAYS:
                self.assertTrue(values[way])
                least, greatest = min(values[way]), max(values[way])
                print(f"{way:>16}: {statistics.median(values[way]):8.1f} ({least:.1f} to {greatest:.1f})")
            for part, (one, other) in PARTS.items():
                print(f"{part:>16}: {self.difference(values, one, other):+8.1f}")

    def print_processes(self, cpu):
        print("us CPU a request, by process\n" + " " * 20 + "".join(f"{name:>17}" for name in (*WAYS, *PARTS)))
        for name in self.counted:
            of_it = {way: [one[name] for one in cpu[way]] for way in WAYS}
            print(f"{name:>20}" + "".join(f"{statistics.median(of_it[way]):17.1f}" for way in WAYS) +
                  "".join(f"{self.difference(of_it, *ways):+17.1f}" for ways in PARTS.values()))

    @staticmethod
    def difference(values, one, other):
        """The median of the rounds' differences."""
        return statistics.median(late - early for early, late in zip(values[one], values[other]))

    def page(self, way):
        """The time of a page, in milliseconds."""
        text = self.one.run("ab", "-q", "-k", "-n", PAGE, "-c", 6, f"http://127.0.0.1/{way}")
        self.assertNotIn("Non-2xx", text)
        return float(re.search(r"Time taken for tests: +([\d.]+) seconds", text)[1]) * 1000


if __name__ == "__main__":
    case.main()
