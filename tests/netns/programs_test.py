#!/usr/bin/python3
"""Programs that people really use: with ubfd they work as without it, and another user's report a clear error."""

import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import V4, V6, TwoNodes, wait_until  # noqa: E402

PORT, EXEMPT = 8888, 8080


class Programs(TwoNodes):
    settings = {"scope": {"exempt_ports": [f"tcp/{EXEMPT}"]}}

    def serve(self, *command, user="alice", port=PORT):
        """Starts the command on node2 and waits until it listens."""
        process = self.two.start(*command, user=user, cwd=case.FOLDER, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: f":{port} " in self.two.run("ss", "-Htuln"), 10, f"{command[0]} to listen")
        return process

    def run_as(self, user, *command):
        """Returns the command's exit status and output."""
        process = self.one.start(*command, user=user, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = process.communicate(timeout=30)[0]
        return process.returncode, output

    def assert_as_without_ubfd(self, check):
        """check() returns the same with ubfd on both nodes as without it."""
        with_ubfd = check()
        for ubfd in (self.ubfd1, self.ubfd2):
            ubfd.stop()
        self.assertEqual(with_ubfd, check())

    def test_a_web_server_and_curl(self):
        (case.FOLDER / "page").write_text("a page\n")
        self.serve("python3", "-m", "http.server", "--bind", "::", PORT)
        urls = [f"http://{V4}:{PORT}/page", f"http://[{V6}]:{PORT}/page"]
        for url in urls:
            status, output = self.run_as("bob", "curl", "-sS", "--max-time", "5", url)
            self.assertEqual(status, 7, output)  # couldn't connect
        for host in (V4, V6):  # the same text for both families, and none that points to SELinux
            script = f"import socket; socket.create_connection(('{host}', {PORT}))"
            self.assertIn("No route to host", self.run_as("bob", "python3", "-c", script)[1])
            self.assertIn("No route to host", self.run_as("bob", "nc", "-v", "-w", "5", host, PORT)[1])
        for url in urls:
            self.assertEqual(self.run_as("alice", "curl", "-sS", "--max-time", "5", url), (0, "a page\n"))
        self.assert_as_without_ubfd(lambda: [self.run_as("alice", "curl", "-sS", url) for url in urls])

    def iperf3(self, user, *words):
        """Returns the number of bytes that iperf3 measured, or its error."""
        result = json.loads(self.run_as(user, "iperf3", "--json", "-t", "1", "-p", PORT, *words)[1])
        if "error" in result:
            return result["error"]
        return result["end"].get("sum_received", result["end"].get("sum"))["bytes"]

    def test_iperf3_over_tcp_and_udp(self):
        self.serve("iperf3", "-s", "-p", PORT)
        for words in (("-c", V4), ("-c", V6), ("-c", V4, "-u", "-b", "50M"), ("-c", V6, "-u", "-b", "50M"),
                      ("-c", V4, "-R"), ("-c", V4, "-u", "-b", "50M", "-R"), ("-c", V4, "-P", "8")):
            with self.subTest(words):
                self.assertGreater(self.iperf3("alice", *words), 1_000_000)
        self.assertIn("unable to connect to server", self.iperf3("bob", "-c", V4))

    def test_netcat_of_both_families(self):
        for family, address in (("-4", V4), ("-6", V6)):
            with self.subTest(address):
                server = self.serve("nc", family, "-k", "-l", PORT)
                for user, expected in (("alice", 0), ("bob", 1)):
                    self.assertEqual(self.run_as(user, "nc", family, "-z", "-w", "3", address, PORT)[0], expected)
                server.kill()
                server.wait()

    def test_netcat_over_udp(self):
        for family, address in (("-4", V4), ("-6", V6)):
            with self.subTest(address):
                server = self.two.start("nc", family, "-u", "-l", PORT, user="alice", stdout=subprocess.PIPE)
                wait_until(lambda: f":{PORT} " in self.two.run("ss", "-Huln"))
                for user in ("bob", "alice"):
                    client = self.one.start("nc", family, "-u", address, PORT, user=user, stdin=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL)
                    client.stdin.write(f"from {user}\n")
                    client.stdin.flush()
                    time.sleep(0.2)
                    client.kill()
                    client.communicate()
                self.assertEqual(server.stdout.readline(), "from alice\n")
                server.kill()
                server.communicate()

    def test_nginx_on_an_exempt_port_is_open_to_everybody(self):
        config = case.FOLDER / "nginx.conf"
        config.write_text(f"""
            pid {case.FOLDER}/nginx.pid; error_log {case.FOLDER}/nginx.log; daemon off; user nobody nogroup;
            events {{ }}
            http {{
                access_log off;
                server {{ listen {EXEMPT}; listen [::]:{EXEMPT}; location / {{ return 200 "hello\\n"; }} }}
                server {{ listen {PORT}; location / {{ return 200 "hello\\n"; }} }}
            }}""")
        self.serve("nginx", "-c", config, user=None, port=EXEMPT)
        for user in ("alice", "bob"):
            for host in (V4, f"[{V6}]"):
                self.assertEqual(self.run_as(user, "curl", "-sS", f"http://{host}:{EXEMPT}/"), (0, "hello\n"))
            self.assertEqual(self.run_as(user, "curl", "-sS", f"http://{V4}:{PORT}/")[0], 7)


if __name__ == "__main__":
    case.main()
