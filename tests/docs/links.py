"""Finds links that lead nowhere: in a folder of HTML, and between the Markdown files of a tree."""

import html.parser
import re
import urllib.parse

_FENCE = re.compile(r"^( *)```.*?^\1```$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class _Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.anchors.update(value for key, value in attrs if key in ("id", "name") and value)
        self.links += [value for key, value in attrs if key in ("href", "src") and value]


def _anchors_of_markdown(text):
    """The anchors that a forge makes of headings."""
    seen, anchors = {}, set()
    for title in re.findall(r"^#+ +(.+?)\s*$", _FENCE.sub("", text), flags=re.M):
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen[anchor] = seen.get(anchor, -1) + 1
        anchors.add(f"{anchor}-{count}" if count else anchor)
    return anchors


def _faults(folder, pages):
    """pages: anchors and links of each file."""
    for path, (_, links) in pages.items():
        for link in links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            place = urllib.parse.unquote(parts.path)
            base = folder if place.startswith("/") else path.parent
            target = (base / place.lstrip("/")).resolve() if place else path
            if not target.exists():
                yield f"{path.relative_to(folder)}: {link}: no such file"
            elif parts.fragment and target in pages and parts.fragment not in pages[target][0]:
                yield f"{path.relative_to(folder)}: {link}: no such anchor"


def of_html(folder):
    pages = {}
    for path in sorted(folder.resolve().rglob("*.html")):
        page = _Page(path.read_text(encoding="utf-8"))
        pages[path] = page.anchors, page.links
    return pages, list(_faults(folder.resolve(), pages))


def of_markdown(folder):
    pages = {}
    for path in sorted([*folder.resolve().glob("*.md"), *(folder / "docs").resolve().rglob("*.md")]):
        text = path.read_text(encoding="utf-8")
        pages[path] = _anchors_of_markdown(text), _LINK.findall(_FENCE.sub("", text))
    return pages, list(_faults(folder.resolve(), pages))
