"""The cases that are measured in each lane."""

import collections
import json

from lab.cpu import busy_seconds
from lane import ADDRESS, CLOSED, DRAIN, ECHO, OTHER, SINK, TCP, UDP, USER

# measure(lane, options): the figures of one round, in these lanes. across: connectors run on `a`. idle: only on an idle
# node.
Case = collections.namedtuple("Case", "name lanes measure across idle", defaults=(True, False))

ALL = ("none", "floor", "ubfd", "recognised")
PARTS = ("conntrack", "rules", "bpf")  # parts of the lane `recognised`; on an idle node only
APART = ("none", *PARTS, "floor", "ubfd", "recognised")
THREADS = (1, 4, 16, 64)
OF_A_THREAD = 1000  # connections


def new_flows(name, protocol, across, concurrency=1, user=USER, lanes=ALL):
    """From connect() to the connection or, for another user, to the refusal."""
    def measure(lane, options):
        count = options.storm if concurrency > 1 else options.count
        port = TCP if protocol == "tcp" else UDP
        if user == OTHER and not lane.is_ubfd:
            port = CLOSED  # the cost of the kernel's own refusal
        node, address = (lane.a, ADDRESS) if across else (lane.b, "127.0.0.1")
        before, all_before = lane.cpu_seconds(), busy_seconds()
        result = lane.storm(node, user, "connect", protocol, address, port, count, concurrency)
        result["cpu_us"] = (lane.cpu_seconds() - before) * 1e6 / count
        result["all_cpu_us"] = (busy_seconds() - all_before) * 1e6 / count
        good = result["connected"] if user == USER else sum(result["errors"].values())
        result["wrong"] = count - good
        return result

    return Case(name, lanes, middle(measure, "per_second") if concurrency > 1 else measure, across)


def paper(threads):
    """The load of the paper on UserBasedFirewall: each thread makes a thousand connections, one after the other."""
    def measure(lane, options):
        count = min(options.storm, OF_A_THREAD * threads)
        result = lane.storm(lane.a, USER, "connect", "tcp", ADDRESS, TCP, count, threads)
        return result | {"wrong": count - result["connected"], "seconds": count / result["per_second"]}

    return Case(f"the paper's load, threads: {threads}", ("none", "ubfd", "recognised"), middle(measure, "per_second"),
                idle=True)


def middle(measure, key):
    """Takes the median of three: the scheduler shares two cores among many threads differently each time."""
    def measure_thrice(lane, options):
        return sorted((measure(lane, options) for _ in range(3)), key=lambda result: result[key])[1]

    return measure_thrice


def ping(name, protocol, lanes):
    """Round trips of a byte in one flow."""
    def measure(lane, options):
        return lane.storm(lane.a, USER, "ping", protocol, ADDRESS, ECHO, options.count, core=lane.cores[0])

    return Case(name, lanes, measure)


def _bulk(lane, options):
    return lane.storm(lane.a, USER, "pour", ADDRESS, DRAIN, options.milliseconds)


def _stream(lane, options):
    sink = lane.start_storm(lane.b, USER, "sink", SINK)
    lane.storm(lane.a, USER, "stream", ADDRESS, SINK, options.milliseconds)
    with sink:
        return json.loads(sink.stdout.read())


CASES = (
    new_flows("same node, C = 1", "tcp", False, lanes=APART),
    new_flows("same node, C = 64", "tcp", False, 64, lanes=APART),
    new_flows("across nodes, C = 1", "tcp", True, lanes=APART),
    new_flows("across nodes, C = 64", "tcp", True, 64, lanes=APART),
    *map(paper, THREADS),
    new_flows("first UDP, same node", "udp", False),
    new_flows("first UDP, across nodes", "udp", True),
    new_flows("refusal, same node", "tcp", False, user=OTHER),
    new_flows("refusal, across nodes", "tcp", True, user=OTHER),
    ping("UDP round trip", "udp", ("none",)),
    Case("UDP stream", ALL + ("conntrack",), _stream),
    Case("established, bulk", ALL, middle(_bulk, "bytes_per_second")),
    ping("established, small", "tcp", ALL),
)
