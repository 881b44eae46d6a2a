"""The measurements, by load, case and lane."""

import collections

from lane import KINDS
from loads import LOADS

# The outcome of a row of the table. is_met: None if this ubfd lacks the feature. values: of the rounds, for the plot.
# limit: the goal's bound, for the plot.
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
        """The figure's value in each round."""
        return [figure(lambda case, lane, key, cases=number[load]["cases"]: cases[case][lane][key])
                for number in self.rounds]


def spread(values, digits=2):
    return f"{min(values):.{digits}f} .. {max(values):.{digits}f}"
