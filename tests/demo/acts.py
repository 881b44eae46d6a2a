"""The acts of the demo."""

import collections
import re
import time

from lab.supervisor import Supervisor
from stage import FILE, HELLO, NOBODY, NOTEBOOK, OWN, RESULTS, SHARED, UNREACHABLE, V4, V6, Judge

Try = collections.namedtuple("Try", "user node protocol address port sees why")
SELF = "127.0.0.1"
TRIES = (
    Try("alice", "node1", "tcp", V4, OWN, HELLO, "same-user"),
    Try("bob", "node1", "tcp", V4, OWN, UNREACHABLE, "different-user"),
    Try("bob", "node1", "tcp", V4, SHARED, HELLO, "same-group"),
    Try("carol", "node1", "tcp", V4, SHARED, UNREACHABLE, "different-user"),
    Try("dave", "node1", "tcp", V4, OWN, HELLO, "same-label"),
    Try("alice", "node1", "tcp", V6, OWN, HELLO, "same-user"),
    Try("bob", "node1", "tcp", V6, OWN, UNREACHABLE, "different-user"),
    Try("alice", "node1", "udp", V4, OWN, HELLO, "same-user"),
    Try("bob", "node1", "udp", V4, OWN, UNREACHABLE, "different-user"),
    Try("alice", "node2", "tcp", SELF, OWN, HELLO, "same-user"),
    Try("bob", "node2", "tcp", SELF, OWN, UNREACHABLE, "different-user"),
    Try("alice", "node1", "tcp", V4, NOBODY, "Connection refused (ECONNREFUSED)", "no-listener"),
)
PER_SECOND = 200


def introduce(screen):
    screen.line("node1 (10.77.0.1) and node2 (10.77.0.2) are two nodes of a cluster. alice and bob are in the")
    screen.line("group proj. alice and dave carry the label physics. carol shares neither with them.")


def read_file(stage, screen, expected, style):
    """Bob tries to read a file of alice's, by her notebook."""
    screen.prompt("bob@node1", f"talk get {FILE}")
    sees = stage.talk("bob", "node1", "get", FILE)
    screen.result(f"  {sees}", sees == expected, expected, style, pause=1)


def without_ubf(stage, screen):
    screen.title("Without ubf, any user reads any other's notebook")
    server = "Jupyter" if stage.has_jupyter else "a stand-in for Jupyter (python3 -m http.server)"
    screen.line(f"On node2 alice runs {server} without a token at port {NOTEBOOK}.")
    read_file(stage, screen, RESULTS, "wrong")


def with_ubf(stage, screen):
    screen.title("With ubf, alice's notebook is hers")
    judge = Judge(stage.daemons["node2"])
    read_file(stage, screen, UNREACHABLE, "refused")
    why, line = judge.verdict()
    screen.prompt("bob@node1", "ubfctl why --last 1")
    text = stage.why("bob", "node1")
    for each in text.splitlines()[1:]:
        screen.wrapped(each.strip(), indent="        ")
    screen.result("The log of node2:", why == "different-user" and "do: " in text, "different-user, and a cure", None)
    screen.wrapped(line)


def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def who_gets_through(stage, screen):
    screen.title(f"Who gets through to alice's servers: her own at port {OWN}, and one with 'sg proj' at port {SHARED}")
    screen.line(f"{'who':<13}{'what':<22}{'sees':<34}why, says node2", "prompt")
    for item in TRIES:
        judge = Judge(stage.daemons["node2"])
        sees = stage.talk(item.user, item.node, "to", item.protocol, item.address, item.port)
        why, _ = judge.verdict()
        row = (f"{item.user + '@' + item.node:<13}{item.protocol + ' ' + endpoint(item.address, item.port):<22}"
               f"{sees:<34}{why}")
        screen.result(row, (sees, why) == (item.sees, item.why), f"{item.sees}, {item.why}",
                      "good" if item.sees == HELLO else "refused")


def death(stage, screen):
    screen.title("ubfd on node2 is killed: the kernel refuses, and opens nothing")

    def attempt(what, expected):
        sees = stage.talk("alice", "node1", "to", "tcp", V4, OWN)
        screen.result(f"  {what}: alice@node1 sees {sees}", sees == expected, expected,
                      "good" if sees == HELLO else "refused")
    stage.daemons["node2"].kill()
    attempt("dead", UNREACHABLE)
    stage.start_ubfd("node2")
    attempt("back", HELLO)


def restart(stage, screen):
    """Returns what plays systemd."""
    screen.title("ubfd crashes and restarts under load, while systemd (played by the demo) keeps its sockets")
    stage.daemons["node2"].stop()
    supervisor = Supervisor("node2")
    daemon = stage.start_ubfd("node2", supervisor=supervisor, words=["--leave-ruleset"])
    screen.line(f"alice@node1 opens {PER_SECOND} connections a second, while ubfd on node2 is killed 3 times.", pause=0)
    crowd = stage.start_talking("alice", "node1", "steadily", V4, OWN, PER_SECOND)
    crash(daemon)
    crash(daemon)
    show_top(daemon, screen)
    crash(daemon)
    sees = crowd.communicate()[0].strip()
    screen.result(f"alice@node1 has seen: {sees}", re.fullmatch(r"\d{3,} connected", sees), "only connections")
    return supervisor


def crash(daemon):
    time.sleep(0.5)
    daemon.kill()
    time.sleep(0.1)
    daemon.start()


def show_top(daemon, screen):
    page = daemon.ctl("top", "--once").stdout
    screen.prompt("root@node2", "ubfctl top")
    for each in [line for line in page.splitlines() if line.strip()][:3]:
        screen.line(f"  {each[:98]}")
    rate = re.search(r"^\s*allow\s+(\d+)", page, flags=re.M)
    screen.result("  ...", rate and int(rate[1]) > 0, "packets that are allowed", None)


def play(stage, screen):
    """All acts. Returns the supervisor, which must live as long as the daemons."""
    introduce(screen)
    stage.start_notebook()
    without_ubf(stage, screen)
    for name in stage.nodes:
        stage.start_ubfd(name)
    stage.start_server(OWN)
    stage.start_server(SHARED, group="proj")
    with_ubf(stage, screen)
    who_gets_through(stage, screen)
    death(stage, screen)
    supervisor = restart(stage, screen)
    screen.sum()
    return supervisor
