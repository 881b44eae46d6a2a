"""The goals, and whether ubfd meets them. A figure is a ratio of two measurements from one round. The table has its
median over the rounds, and its range."""

import collections
import statistics

from cases import THREADS
from owners import of_lookups
from results import Outcome, spread
from under_load import of_load

# A figure over all rounds. limit: the goal's bound, for the plot.
Row = collections.namedtuple("Row", "case reach unit figure is_met limit")

SAME, SAME_STORM = "same node, C = 1", "same node, C = 64"
ACROSS, ACROSS_STORM = "across nodes, C = 1", "across nodes, C = 64"
MIB = 1024  # KiB


def _ratio(case, key, lane="ubfd", base="floor"):
    return lambda at: at(case, lane, key) / at(case, base, key)


def _round_trips_above_floor(at):
    return (at(ACROSS, "ubfd", "p50_us") - at(ACROSS, "floor", "p50_us")) / at("UDP round trip", "none", "p50_us")


def _more_than_none(case, key):
    return lambda at: at(case, "recognised", key) - at(case, "none", key)


def _at_most(limit):
    return lambda values: statistics.median(values) <= limit


def _at_least(limit):
    return lambda values: statistics.median(values) >= limit


def _equal_or_more(values):
    return max(values) >= 1


def _equal_or_less(values):
    return min(values) <= 1


ROWS = (
    Row("same node, C = 1: p50 connect latency", "≤ 1.2 × floor", "× floor",
        _ratio(SAME, "p50_us"), _at_most(1.2), 1.2),
    Row("same node, C = 64: connections per second", "≥ 0.7 × floor", "× floor",
        _ratio(SAME_STORM, "per_second"), _at_least(0.7), 0.7),
    Row("across nodes, C = 1: p50 connect latency", "≤ floor + 1.25 × the bare UDP round trip",
        "× round trip above floor", _round_trips_above_floor, _at_most(1.25), 1.25),
    Row("across nodes, C = 64: connections per second", "≥ 0.5 × floor", "× floor",
        _ratio(ACROSS_STORM, "per_second"), _at_least(0.5), 0.5),
    Row("same node, C = 64: firewall CPU per connection", "≤ 2 × floor", "× floor",
        _ratio(SAME_STORM, "cpu_us"), _at_most(2), 2),
    Row("across nodes, C = 64: firewall CPU per connection", "≤ 2 × floor", "× floor",
        _ratio(ACROSS_STORM, "cpu_us"), _at_most(2), 2),
    Row("recognised, same node, C = 1: p50 connect latency", "≤ 1.25 × none", "× none",
        _ratio(SAME, "p50_us", "recognised", "none"), _at_most(1.25), 1.25),
    Row("recognised, across nodes, C = 1: p50 connect latency", "≤ 1.25 × none", "× none",
        _ratio(ACROSS, "p50_us", "recognised", "none"), _at_most(1.25), 1.25),
    Row("recognised, same node, C = 64: connections per second", "≥ 0.9 × none", "× none",
        _ratio(SAME_STORM, "per_second", "recognised", "none"), _at_least(0.9), 0.9),
    Row("recognised, across nodes, C = 64: connections per second", "≥ 0.9 × none", "× none",
        _ratio(ACROSS_STORM, "per_second", "recognised", "none"), _at_least(0.9), 0.9),
    Row("recognised, same node, C = 64: all CPU per connection", "≤ none + 3 µs", "µs more than none",
        _more_than_none(SAME_STORM, "all_cpu_us"), _at_most(3), None),
    Row("recognised, across nodes, C = 64: all CPU per connection", "≤ none + 3 µs", "µs more than none",
        _more_than_none(ACROSS_STORM, "all_cpu_us"), _at_most(3), None),
    *(Row(f"recognised, the paper's load, threads: {threads}", "≤ 1.1 × none", "× none",
          _ratio(f"the paper's load, threads: {threads}", "seconds", "recognised", "none"), _at_most(1.1), 1.1)
      for threads in THREADS),
    Row("refusal across nodes, with recognition", "≤ without it", "× without",
        _ratio("refusal, across nodes", "p50_us", "recognised", "ubfd"), _at_most(1.05), 1.05),
    Row("one-way UDP stream after its first packet", "≥ 0.9 × no firewall", "× none",
        _ratio("UDP stream", "per_second", base="none"), _at_least(0.9), 0.9),
    Row("the same with one rule on conntrack's state, and no ubfd", "-", "× none",
        _ratio("UDP stream", "per_second", "conntrack", "none"), lambda values: None, None),
    Row("established flow: bulk", "equal to floor: no worse in some round", "× floor",
        _ratio("established, bulk", "bytes_per_second"), _equal_or_more, 1),
    Row("established flow: round trip of a small message", "equal to floor: no worse in some round", "× floor",
        _ratio("established, small", "p50_us"), _equal_or_less, 1),
)


def outcomes(results):
    """The outcomes of all rows, with those of loads, lookups and memory."""
    found = []
    for row in ROWS:
        values = results.each_round(row.figure)
        found.append(Outcome(row.case, row.reach, f"{statistics.median(values):.2f} {row.unit}", spread(values),
                             row.is_met(values), values, row.limit))
    found += [of_load(results, load) for load in results.loads if load != "idle"]
    return found + [of_lookups(results), _of_memory(results.memory)]


def _of_memory(points):
    sizes = [max(node["resident"] for node in point["nodes"]) / MIB for point in points]
    grown = max(points[-1]["nodes"][i]["resident"] - points[len(points) // 2]["nodes"][i]["resident"]
                for i in range(2)) / MIB
    return Outcome(f"memory after {points[-1]['verdicts']:,} verdicts",
                   "flat (+ 5 % at most in the second half); under 32 MiB",
                   f"{sizes[-1]:.1f} MiB; + {grown:.1f} in the second half", spread(sizes, 1),
                   grown <= 0.05 * sizes[-1] and max(sizes) < 32)
