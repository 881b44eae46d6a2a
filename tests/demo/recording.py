"""A recording of the demo: lines of coloured text, each with its time, as an SVG picture that plays itself."""

import re
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

ROW, COLUMN, MARGIN = 17, 8.43, 14  # pixels
_SVG = "{http://www.w3.org/2000/svg}"
_COLOURS = {"1;36": "t", "1": "b", "32": "g", "33": "y", "1;31": "r", "2": "f"}  # of screen.py: class names
_STYLE = """
text{font:14px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#d5d9e0;animation:a .2s both}
.t{fill:#6cc7e8;font-weight:bold}.b{fill:#fff;font-weight:bold}.g{fill:#8fd18a}.y{fill:#e5b567}.r{fill:#f2777a}
.f{fill:#8a919c}@keyframes a{from{opacity:0}}@media(prefers-reduced-motion){text{animation:none}}
""".strip()


def lines_of(chunks):
    """Lines (time, [(class, text)]) of a terminal's output. chunks: (time, text)."""
    lines, rest = [], ""
    for time, text in chunks:
        *whole, rest = (rest + text).replace("\r\n", "\n").split("\n")
        lines += [(time, _parts(line)) for line in whole]
    return lines


def _parts(line):
    """The parts of a line, by colour."""
    pieces = re.split(r"\033\[([\d;]*)m", line)
    styles = ["0", *pieces[1::2]]
    return [(_COLOURS.get(style, ""), text) for style, text in zip(styles, pieces[::2]) if text]


def to_svg(lines, title):
    columns = max(sum(len(text) for _, text in parts) for _, parts in lines)
    width, height = round(columns * COLUMN + 2 * MARGIN), (len(lines) + 1) * ROW + MARGIN
    rows = []
    for number, (time, parts) in enumerate(lines, 1):
        spans = "".join(f'<tspan class="{style}">{escape(text)}</tspan>' if style else escape(text)
                        for style, text in parts)
        rows.append(f'<text x="{MARGIN}" y="{number * ROW + MARGIN // 2}" xml:space="preserve" '
                    f'style="animation-delay:{time:.1f}s">{spans}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
            f"<title>{escape(title)}</title><style>{_STYLE}</style>"
            f'<rect width="100%" height="100%" rx="8" fill="#1d2129"/>\n' + "\n".join(rows) + "\n</svg>\n")


def words_of(svg):
    """The text of a picture, in lines."""
    return "\n".join("".join(row.itertext()) for row in ElementTree.fromstring(svg).iter(f"{_SVG}text"))


def comparable(text):
    """The words of the demo, up to its count, without numbers that differ from run to run, and without top's page."""
    text = re.sub(r"(ubfctl top\n).*?(\n *\.\.\.\n)", r"\1\2", text.partition("as they should be")[0], flags=re.S)
    text = re.sub(r"\b[0-9a-f]{8}\b|[\dTZ:.-]*\d[\dTZ:.-]*", "N", text)
    return text.split()
