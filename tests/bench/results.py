"""What was measured, by load, case and lane."""

import collections

from lane import KINDS
from loads import LOADS

# What came of a row of the table. is_met: None where this ubfd doesn't have it. values: of the rounds, and limit: where
# the reach ends; for the plot.
Outcome = collections.namedtuple("Outcome", "case reach measured spread is_met values limit", defaults=(None, None))


class Results:
    def __init__(self, everything):
        self.rounds = everything["rounds"]
        self.memory = everything["memory"]
        self.machine = everything["machine"]
        self.sizes = everything["sizes"]
        self.titles = {load: title.format(**self.sizes) for load, title in LOADS.items()}
        self.loads = [load for load in LOADS if load in self.rounds[0]]

    def lanes(self, case):
        return [kind.name for kind in KINDS if kind.name in self.rounds[0]["idle"]["cases"][case]]

    def figures(self, case, lane, key, load="idle"):
        return [number[load]["cases"][case][lane].get(key) for number in self.rounds]

    def each_round(self, figure, load="idle"):
        """Its values."""
        return [figure(lambda case, lane, key, cases=number[load]["cases"]: cases[case][lane][key])
                for number in self.rounds]


def spread(values, digits=2):
    return f"{min(values):.{digits}f} .. {max(values):.{digits}f}"
