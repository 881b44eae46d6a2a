"""docs/performance.svg: the ratios and their reach, the lookups and the memory, from top to bottom."""

import math
import statistics

from owners import lookup_rows
from plot import COLOURS, FAINT, INK, Drawing, Scale, draw_axis, draw_legend
from reach import outcomes

WIDTH, LEFT, RIGHT = 860, 380, 820
ROW, HEAD, FOOT = 24, 56, 60
LOAD_COLOURS = {"idle": COLOURS["good"], "crowd": COLOURS["bad"], "sockets": COLOURS["third"]}


def figure(results):
    rows = [row for row in outcomes(results) if row.limit]
    lookups = lookup_rows(results)
    heights = [HEAD + ROW * len(rows) + FOOT, HEAD + ROW * len(lookups) + FOOT, HEAD + 180 + FOOT]
    drawing = Drawing(WIDTH, sum(heights))
    _ratios(drawing, 0, rows)
    _lookups(drawing, heights[0], lookups)
    _memory(drawing, heights[0] + heights[1], results.memory)
    return str(drawing)


def _title(drawing, top, words):
    drawing.text(20, top + 24, words, size=15)


def _ratios(drawing, top, rows):
    _title(drawing, top, "ubfd, and what is within reach")
    draw_legend(drawing, LEFT, top + 24, {"met": COLOURS["good"], "not met": COLOURS["bad"]})
    drawing.line((LEFT + 190, top + 14), (LEFT + 190, top + 26), width=3)
    drawing.text(LEFT + 198, top + 24, "reach")
    drawing.line((LEFT + 250, top + 20), (LEFT + 274, top + 20), width=2)
    drawing.text(LEFT + 280, top + 24, "least to greatest round")
    furthest = max(max(*row.values, row.limit) for row in rows)
    last = min(max(math.ceil(furthest), 2), 8)  # larger values stand at the edge
    scale = Scale(0, last, LEFT, RIGHT)
    begin, bottom = top + HEAD, top + HEAD + ROW * len(rows)
    ticks = {tick / 2: f"{tick / 2:g}" for tick in range(0, 2 * last + 1, 1 if last <= 4 else 2)}
    draw_axis(drawing, scale, ticks, begin, bottom, "ratio (× floor, × no firewall, or round trips above floor)")
    for index, row in enumerate(rows):
        y = begin + ROW * (index + 0.5)
        colour = COLOURS["good" if row.is_met else "bad"]
        drawing.text(LEFT - 12, y + 4, row.case, "end")
        drawing.line((scale(min(row.values)), y), (scale(max(row.values)), y), colour=colour, width=3)
        drawing.line((scale(row.limit), y - 8), (scale(row.limit), y + 8), width=3)
        drawing.dot(scale(statistics.median(row.values)), y, colour)


def _lookups(drawing, top, rows):
    _title(drawing, top, "Whose socket is it: p50 to p99")
    draw_legend(drawing, LEFT, top + 24, {load: LOAD_COLOURS[load] for load in rows[0].p50})
    scale = Scale(0.01, 1e7, LEFT, RIGHT, logarithmic=True)
    begin, bottom = top + HEAD, top + HEAD + ROW * len(rows)
    ticks = {0.01: "10 ns", 0.1: "100 ns", 1: "1 µs", 10: "10 µs", 100: "100 µs", 1e3: "1 ms", 1e4: "10 ms",
             1e5: "100 ms", 1e6: "1 s", 1e7: "10 s"}
    draw_axis(drawing, scale, ticks, begin, bottom, "time of one lookup (logarithmic)")
    for index, row in enumerate(rows):
        drawing.text(LEFT - 12, begin + ROW * (index + 0.5) + 4, f"{row.what}, {row.state}", "end")
        for number, load in enumerate(row.p50):
            y = begin + ROW * index + 6 + 6 * number
            drawing.line((scale(row.p50[load]), y), (scale(row.p99[load]), y), colour=LOAD_COLOURS[load], width=2)
            drawing.dot(scale(row.p50[load]), y, LOAD_COLOURS[load], radius=3)


def _memory(drawing, top, points):
    _title(drawing, top, "Resident memory of a ubfd just started")
    names = {"connectors' node": COLOURS["good"], "listeners' node": COLOURS["bad"]}
    draw_legend(drawing, LEFT, top + 24, names)
    begin, bottom, left = top + HEAD, top + HEAD + 180, 90
    across = Scale(0, points[-1]["verdicts"], left, RIGHT)
    up = Scale(0, 40, bottom, begin)
    for mib in range(0, 41, 8):
        is_reach = mib == 32
        drawing.line((left, up(mib)), (RIGHT, up(mib)), colour=INK if is_reach else FAINT, dashed=is_reach)
        drawing.text(left - 8, up(mib) + 4, str(mib), "end")
    drawing.text(left - 44, (begin + bottom) / 2, "resident, MiB", "middle", turned=True)
    drawing.text(RIGHT, up(32) - 5, "reach: under 32 MiB", "end")
    steps = [points[-1]["verdicts"] * part / 5 for part in range(6)]
    draw_axis(drawing, across, {step: f"{step / 1000:.0f}" for step in steps}, begin, bottom, "verdicts, thousands")
    for node, colour in enumerate(names.values()):
        drawing.line(*((across(point["verdicts"]), up(point["nodes"][node]["resident"] / 1024)) for point in points),
                     colour=colour, width=2)
