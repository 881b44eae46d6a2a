#!/usr/bin/python3
"""The cost of a verdict. While `replay` plays each scenario over a recording of the kernel, callgrind counts ubfd's
instructions and system calls. The program `procedure` does the same for the procedure alone, on a node in memory. Fails
if a scenario costs a fifth more than budget.json has recorded, and names the most expensive functions.

perf_budget_test.py [--build DIR]            compares
perf_budget_test.py [--build DIR] --record   records the counts as the new figures
perf_budget_test.py [--build DIR] --profile  prints where each scenario spends its instructions
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BUDGET = HERE / "budget.json"
RECORDING = HERE / "recording.txt"
LIMIT = 1.20
NOISE = 1.02  # two counts of the same scenario may differ by this
SKIPPED = 77  # CTest's status for a skipped test
WHAT = {"instructions": "instructions", "calls": "system calls"}  # cost per verdict
FUNCTIONS = 15  # shown in a profile


class Trouble(Exception):
    """The measurement failed."""


class Programs:
    """`replay` and `procedure`: each has scenarios of its own."""

    def __init__(self, folder):
        self._replay = folder / "replay"
        self._command_of = {}
        for words in ([self._replay, RECORDING], [folder / "procedure"]):
            for scenario in self._say(words[0], "--list").split():
                self._command_of[scenario] = [words[0], scenario, *words[1:]]

    @staticmethod
    def _say(program, word):
        return subprocess.run([program, word], capture_output=True, text=True, check=True).stdout

    def scenarios(self):
        return list(self._command_of)

    def build(self):
        """The figures depend on the processor beside the code: libsodium and the C library choose by it."""
        avx2 = re.search(r"^flags\b.*\bavx2\b", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"), flags=re.M)
        return " ".join([*self._say(self._replay, "--build").split(), "avx2" if avx2 else "no avx2"])

    def count(self, scenario, profile, environment=None):
        """Returns a verdict's {"instructions"}, of `replay` also {"calls", "clock_reads"}. Writes callgrind's profile
        to that file."""
        command = ["valgrind", "--tool=callgrind", "--quiet", "--vgdb=no", "--collect-atstart=no",
                   f"--callgrind-out-file={profile}", *self._command_of[scenario]]
        try:
            run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
        except subprocess.TimeoutExpired:
            raise Trouble(f"{scenario}: it did not come to an end") from None
        if run.returncode != 0:
            raise Trouble(f"{scenario}: {run.stderr.strip() or f'it ended with {run.returncode}'}")
        counted = json.loads(run.stdout)
        total = re.search(r"^totals: (\d+)$", profile.read_text(encoding="utf-8"), flags=re.M)
        verdicts = counted.pop("verdicts")
        counted["instructions"] = int(total[1]) if total else 0
        if not verdicts or not counted["instructions"] or counted.get("calls") == 0:
            raise Trouble(f"{scenario}: nothing was counted")
        return {what: count / verdicts for what, count in counted.items()}


def top_functions(profile, inclusive):
    """The most expensive (share, function). inclusive: only ubf's own functions, with their callees."""
    output = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no",
                             f"--inclusive={'yes' if inclusive else 'no'}", profile], capture_output=True, text=True,
                            check=True).stdout
    costs, total = collections.Counter(), 1
    for line in output.splitlines():
        # "1,234 (5.6%)  file:function [object]"; an inlined part has a line, and also counts in the whole
        match = re.match(r"\s*([\d,]+) \([^)]*\)\s+(?:[^:]+:(.+?)(?: \[(\S+)\])?|PROGRAM TOTALS)$", line)
        if not match:
            continue
        cost, name, library = int(match[1].replace(",", "")), match[2], match[3]
        if name is None:
            total = cost
        elif not inclusive or name.startswith("ubf::"):
            if name.startswith("0x"):
                name = f"{pathlib.Path(library or '?').name} {name}"
            costs[name] = max(cost, costs[name]) if inclusive else cost + costs[name]
    return [(cost / total, name) for name, cost in costs.most_common(FUNCTIONS)]


def print_profile(profile, instructions):
    for inclusive, title in ((False, "in itself"), (True, "with what it calls")):
        print(f"  {'per verdict':>11}  share  {title}")
        for share, name in top_functions(profile, inclusive):
            print(f"  {share * instructions:11,.0f} {share:6.1%}  {name[:100]}")


def costs(figures):
    """Those of the figures that have a limit, with their names."""
    return {what: text for what, text in WHAT.items() if what in figures}


def print_table(recorded, counted):
    print(f"{'scenario':<17} {'of a verdict':<13} {'recorded':>9} {'now':>9} {'ratio':>6}")
    for scenario, figures in counted.items():
        for what, text in costs(figures).items():
            old, now = recorded[scenario][what], figures[what]
            print(f"{scenario:<17} {text:<13} {old:9,.2f} {now:9,.2f} {now / old:6.2f}")
        if "clock_reads" in figures:
            print(f"{scenario:<17} {'clock reads':<13} {'':>9} {figures['clock_reads']:9,.2f}")


def compare(counted, profile_of):
    recorded = json.loads(BUDGET.read_text(encoding="utf-8"))["figures"]
    if not counted or recorded.keys() != counted.keys():
        raise Trouble(f"{BUDGET.name} has figures of {', '.join(recorded) or 'nothing'}; there are the scenarios "
                      f"{', '.join(counted) or 'none'}. Record them: {sys.argv[0]} --record")
    print_table(recorded, counted)
    over = [(scenario, what) for scenario, figures in counted.items() for what in costs(figures)
            if figures[what] > LIMIT * recorded[scenario][what]]
    for scenario, what in over:
        old, now = recorded[scenario][what], counted[scenario][what]
        print(f"\n{scenario}: a verdict takes {now:,.2f} {WHAT[what]}, {now / old:.2f} times the recorded {old:,.2f}; "
              f"the limit is {LIMIT:.2f} times. Where its instructions go:")
        print_profile(profile_of(scenario), counted[scenario]["instructions"])
    if over:
        print(f"\nIf that is what the change is worth, record it, and say so in its commit: {sys.argv[0]} --record")
    return 1 if over else 0


def check_noise(programs, scenario, before, profile):
    """Counts again in an environment of another size."""
    again = programs.count(scenario, profile, os.environ | {"ANYTHING": "x" * 5000})["instructions"]
    if not 1 / NOISE < again / before < NOISE:
        raise Trouble(f"{scenario}: counted twice, it took {before:,.0f} and {again:,.0f} instructions: such figures "
                      "can't be compared")


def record(build, counted):
    figures = {scenario: {what: round(figures[what], 4) for what in costs(figures)}
               for scenario, figures in counted.items()}
    BUDGET.write_text(json.dumps({"build": build, "figures": figures}, indent=2) + "\n", encoding="utf-8")
    print(f"recorded in {BUDGET}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parents[1] / "build" / "release")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    folder = options.build / "tests" / "budget"
    if not (folder / "replay").exists():
        print("replay is not built: install valgrind and its headers (tests/install-packages test), and run cmake again")
        return SKIPPED
    programs = Programs(folder)
    build = programs.build()
    if not options.record and not options.profile:
        recorded = json.loads(BUDGET.read_text(encoding="utf-8"))["build"]
        if build != recorded:
            print(f"the figures are of another build: '{recorded}', and this is '{build}'")
            return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        def profile_of(scenario):
            return pathlib.Path(folder, scenario)

        counted = {scenario: programs.count(scenario, profile_of(scenario)) for scenario in programs.scenarios()}
        if options.profile:
            for scenario, figures in counted.items():
                print(f"{scenario}: {figures['instructions']:,.0f} instructions")
                print_profile(profile_of(scenario), figures["instructions"])
            return 0
        # In this scenario threads meet.
        check_noise(programs, "denied", counted["denied"]["instructions"], pathlib.Path(folder, "again"))
        return record(build, counted) if options.record else compare(counted, profile_of)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Trouble as trouble:
        sys.exit(f"{sys.argv[0]}: {trouble}")
