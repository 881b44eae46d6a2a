"""SVG drawings of the few shapes that figures need: axes, marks, lines and words. Their colours show on light and dark
pages."""

import html
import math

INK, FAINT = "#808080", "#80808055"
COLOURS = {"good": "#2f8fd0", "bad": "#e0782f", "third": "#4aa564"}


class Drawing:
    def __init__(self, width, height):
        self._size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        self._parts = []

    def text(self, x, y, words, anchor="start", colour=INK, size=12, turned=False):
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                           f'fill="{colour}"{turn}>{html.escape(words)}</text>')

    def line(self, *points, colour=INK, width=1, dashed=False):
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = ' stroke-dasharray="4 3"' if dashed else ""
        self._parts.append(f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>')

    def dot(self, x, y, colour, radius=4):
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')

    def __str__(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" {self._size} font-family="sans-serif">\n'
                + "\n".join(self._parts) + "\n</svg>\n")


class Scale:
    """Maps values to positions, from `first` at `begin` to `last` at `end`, by their logarithms if `logarithmic`."""

    def __init__(self, first, last, begin, end, logarithmic=False):
        self._of = math.log10 if logarithmic else float
        self._first, self._last, self._begin, self._end = self._of(first), self._of(last), begin, end

    def __call__(self, value):
        part = (self._of(value) - self._first) / (self._last - self._first)
        return self._begin + min(max(part, 0), 1) * (self._end - self._begin)


def draw_axis(drawing, scale, ticks, top, bottom, label):
    """A horizontal axis at the bottom, with a grid up to the top. ticks: value -> label."""
    for value, word in ticks.items():
        drawing.line((scale(value), top), (scale(value), bottom), colour=FAINT)
        drawing.text(scale(value), bottom + 16, word, "middle")
    first, last = scale(min(ticks)), scale(max(ticks))
    drawing.line((first, bottom), (last, bottom))
    drawing.text((first + last) / 2, bottom + 34, label, "middle")


def draw_legend(drawing, x, y, words):
    """words: label -> colour."""
    for word, colour in words.items():
        drawing.dot(x, y - 4, colour)
        drawing.text(x + 9, y, word)
        x += 30 + 7 * len(word)
