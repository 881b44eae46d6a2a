#!/usr/bin/python3
"""The cost of a portal's check: small requests through nginx to a person's program, with and without it. CPU time is
that of nginx's worker and ubf-portal, and of ubfd where it decides. Asserts no time."""

import pathlib
import re
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import FOLDER, V4  # noqa: E402
from lab.cpu import cpu_seconds  # noqa: E402
from lab.web_portals import REAL, Portals  # noqa: E402

FAST, UNASKED = 8891, 8080  # the second is exempt
ROUNDS, REQUESTS, PAGES, PAGE = 5, 2000, 20, 31
WAYS = ("unchecked", "checked")


class PortalCost(Portals):
    exempt = [f"tcp/{UNASKED}"]

    def setUp(self):
        super().setUp()
        (FOLDER / "program.conf").write_text(
            f"daemon off; pid {FOLDER}/home/pid; error_log stderr; worker_processes 1; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {FOLDER}/home; proxy_temp_path {FOLDER}/home;\n"
            f"fastcgi_temp_path {FOLDER}/home; uwsgi_temp_path {FOLDER}/home; scgi_temp_path {FOLDER}/home;\n"
            f"server {{ listen {FAST}; listen {UNASKED}; keepalive_requests 1; return 200 hello; }} }}\n")
        (FOLDER / "home").mkdir(mode=0o777)
        (FOLDER / "home").chmod(0o777)
        self.run_behind(self.two, "nginx", "-e", "stderr", "-c", FOLDER / "program.conf", user="alice")
        self.wait_for_listener(self.two, FAST)
        for name in ("ubf-http.conf", "ubf-server.conf", "ubf-location.conf"):
            self.shipped(f"nginx/{name}")
        share = FOLDER / "share" / "nginx"
        plain = re.sub(r"(?m)^(auth_request|error_page).*\n", "", (share / "ubf-location.conf").read_text())
        (share / "plain.conf").write_text(plain)
        (FOLDER / "nginx.conf").write_text(
            f"user www-data; daemon off; worker_processes 1; pid {FOLDER}/nginx.pid; error_log {FOLDER}/nginx.log;\n"
            f"events {{}}\nhttp {{ access_log off; keepalive_requests 1000000; include {share}/ubf-http.conf;\n"
            f"server {{ listen 80; set $ubf_user alice; set $ubf_host {V4}; set $ubf_port {FAST};\n"
            f"include {share}/ubf-server.conf;\n"
            f"location /checked {{ include {share}/ubf-location.conf; proxy_pass http://$ubf_address; }}\n"
            f"location /unchecked {{ include {share}/plain.conf; proxy_pass http://{V4}:{UNASKED}; }} }} }}\n")
        front = self.run_behind(self.one, "nginx", "-c", FOLDER / "nginx.conf")
        self.wait_for_listener(self.one, 80)
        worker = int(self.one.run("pgrep", "-P", front.pid).split()[0])
        self.counted = [worker, self.portal.process.pid] + \
            ([self.ubfd1.process.pid, self.ubfd2.process.pid] if REAL else [])

    def requests(self, way, number, at_once):
        """The mean time of a request, in microseconds."""
        text = self.one.run("ab", "-q", "-k", "-n", number, "-c", at_once, f"http://127.0.0.1/{way}")
        self.assertRegex(text, rf"Complete requests: +{number}\n")
        self.assertRegex(text, r"Failed requests: +0\n")
        self.assertNotIn("Non-2xx", text)
        return float(re.search(r"Time per request: +([\d.]+) \[ms\] \(mean\)", text)[1]) * 1000

    def test_a_check_and_a_page_are_measured(self):
        figures = {way: {"latency": [], "cpu": [], "page": []} for way in WAYS}
        if not REAL:
            self.desk.reply = lambda question: {"allowed": True, "reason": "same-user", "address": question["target"]}
        for way in WAYS:
            self.requests(way, 100, 1)
        for _ in range(ROUNDS):
            for way in WAYS:
                before = sum(map(cpu_seconds, self.counted))
                figures[way]["latency"].append(self.requests(way, REQUESTS, 1))
                figures[way]["cpu"].append((sum(map(cpu_seconds, self.counted)) - before) / REQUESTS * 1e6)
        for _ in range(PAGES):
            for way in WAYS:
                figures[way]["page"].append(self.page(way))
        whose = "nginx, ubf-portal and ubfd of both nodes" if REAL else "nginx and ubf-portal (a stand-in for ubfd)"
        print(f"\nCPU time of {whose}; median (least to greatest)")
        for figure, unit in (("latency", "us a request, one at a time"), ("cpu", "us CPU a request"),
                             ("page", f"ms a page of {PAGE} requests, six at a time")):
            for way in WAYS:
                values = figures[way][figure]
                self.assertTrue(values)
                print(f"{way:>10}: {statistics.median(values):8.1f} ({min(values):.1f} to {max(values):.1f}) {unit}")
            one, other = (statistics.median(figures[way][figure]) for way in WAYS)
            print(f"{'':>10}  {other - one:+8.1f}, ratio {other / one:.2f}")

    def page(self, way):
        """The time of a page, in milliseconds."""
        text = self.one.run("ab", "-q", "-k", "-n", PAGE, "-c", 6, f"http://127.0.0.1/{way}")
        self.assertNotIn("Non-2xx", text)
        return float(re.search(r"Time taken for tests: +([\d.]+) seconds", text)[1]) * 1000


if __name__ == "__main__":
    case.main()
