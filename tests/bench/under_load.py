"""The cases under load, compared with an idle node."""

import collections
import statistics

from results import Outcome

WITHIN = 0.10
# A case, its figure, and the figure's name.
LOADED = (
    ("same node, C = 1", "p50_us", "p50"),
    ("same node, C = 64", "per_second", "rate"),
    ("same node, C = 64", "cpu_us", "CPU"),
    ("across nodes, C = 1", "p50_us", "p50"),
    ("across nodes, C = 64", "per_second", "rate"),
    ("across nodes, C = 64", "cpu_us", "CPU"),
    ("UDP stream", "per_second", "rate"),
)
# beside: the values of floor and none. worse: the relative loss.
Loaded = collections.namedtuple("Loaded", "case what lane values beside worse is_met")


def loaded_rows(results, load):
    """Compares each case with an idle node: ubfd's values, and those of lanes that search no processes."""
    rows = []
    for case, key, what in LOADED:
        for lane in results.lanes(case):
            if lane not in ("ubfd", "recognised"):
                continue
            values, *beside = [_against_idle(results, case, key, name, load) for name in (lane, "floor", "none")]
            if not values: # the figure is zero on an idle node
                continue
            middle = statistics.median(values)
            worse = 1 - middle if what == "rate" else middle - 1
            rows.append(Loaded(case, what, lane, values, beside, worse, worse <= WITHIN))
    return rows


def _against_idle(results, case, key, lane, load):
    pairs = zip(results.figures(case, lane, key, load), results.figures(case, lane, key))
    return [loaded / idle for loaded, idle in pairs if idle]


def of_load(results, load):
    rows = loaded_rows(results, load)
    worst = max(rows, key=lambda row: row.worse)
    return Outcome(f"any of these but established flows, with {results.titles[load]}",
                   "within 10 % of the same on an idle node",
                   f"{sum(row.is_met for row in rows)} of {len(rows)}",
                   f"worst: {statistics.median(worst.values):.2f} × ({worst.case}, {worst.what})",
                   all(row.is_met for row in rows))
