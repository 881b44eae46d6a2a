"""The tables, in Markdown that is readable in a terminal too."""

import statistics

from owners import lookup_rows, unused_methods
from reach import outcomes
from results import spread
from under_load import loaded_rows

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def report(results):
    """The whole report."""
    rows = [[row.case, row.reach, row.measured, row.spread, _word(row.is_met)] for row in outcomes(results)]
    parts = [_setting(results), _table(["case", "reach", "ubfd", "spread of rounds", ""], rows)]
    parts += ["### Under load", "Each beside itself on an idle node: 1.00 is no change.", _loads(results)]
    parts += ["### Whose socket is it", "Microseconds, p50 / p99.", _lookups(results)]
    unused = ", ".join(unused_methods(results))
    parts += [f"Methods that were not in use here: {unused or 'none'}."]
    parts += ["### Memory", "MiB resident; and locked, where what is mapped but was never used counts as well.",
              _memory(results)]
    parts += ["### All figures of the idle node", _all(results), _wrong(results)]
    return "\n\n".join(parts) + "\n"


def write_into(document, text):
    """Replaces the text between the markers. The text around them is written by hand."""
    before, rest = document.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    document.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def _setting(results):
    return f"On {results.machine}; the median of {results.sizes['rounds']} interleaved rounds."


def _word(is_met):
    return {True: "met", False: "**not met**", None: "-"}[is_met]


def _table(head, rows):
    lines = [head, *rows]
    widths = [max(len(str(line[i])) for line in lines) for i in range(len(head))]
    written = ["| " + " | ".join(f"{cell!s:{width}}" for cell, width in zip(line, widths)) + " |" for line in lines]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written[0], rule, *written[1:]])


def _middle(values):
    return f"{statistics.median(values):.2f}" if values else "-"


def _loads(results):
    rows = []
    for load in results.loads:
        if load == "idle":
            continue
        title = results.titles[load]
        for row in loaded_rows(results, load):
            rows.append([title, f"{row.case}: {row.what}", row.lane, _middle(row.values), spread(row.values),
                         *map(_middle, row.beside), _word(row.is_met)])
            title = ""
    return _table(["load", "case", "lane", "loaded / idle", "spread", "floor's", "none's", ""], rows)


def _lookups(results):
    rows = [[row.what, row.state, ", ".join(row.methods),
             *(f"{_short(row.p50[load])} / {_short(row.p99[load])}" for load in results.loads),
             "grows" if row.grows else "does not grow"] for row in lookup_rows(results)]
    return _table(["of", "state", "method", *results.loads, ""], rows)


def _short(microseconds):
    return f"{microseconds:,.1f}" if microseconds < 100 else f"{microseconds:,.0f}"


def _memory(results):
    rows = [[f"{point['verdicts']:,}", *(f"{node['resident'] / 1024:.1f}" for node in point["nodes"]),
             f"{point['nodes'][1]['locked'] / 1024:.0f}"] for point in results.memory]
    return _table(["verdicts", "connectors' node", "listeners' node", "locked"], rows)


# The figures of a case: key, title, format.
_COLUMNS = (("per_second", "per second", "{:.0f}"), ("p50_us", "p50 µs", "{:.1f}"), ("p99_us", "p99 µs", "{:.1f}"),
            ("cpu_us", "CPU µs", "{:.1f}"), ("bytes_per_second", "MB/s", "{:.0f}"))


def _all(results):
    rows = []
    for case in results.rounds[0]["idle"]["cases"]:
        title = case
        for lane in results.lanes(case):
            cells = []
            for key, _, form in _COLUMNS:
                values = results.figures(case, lane, key)
                scale = 1e-6 if key == "bytes_per_second" else 1
                cells.append("-" if None in values else form.format(statistics.median(values) * scale))
            rows.append([title, lane, *cells])
            title = ""
    return _table(["case", "lane", *(title for _, title, _ in _COLUMNS)], rows)


def _wrong(results):
    """Counts wrong outcomes under all loads: a firewall that loses flows is fast for nothing."""
    measured = [figures for number in results.rounds for load in number.values() for lanes in load["cases"].values()
                for figures in lanes.values() if "wrong" in figures]
    wrong, count = [sum(figures[key] for figures in measured) for key in ("wrong", "count")]
    return f"All loads had {count:,} flows, and {wrong:,} of them ended otherwise than their case says."
