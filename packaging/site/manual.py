"""Man pages as pages of the site: scdoc writes roff, and mandoc writes HTML."""

import re
import subprocess

_NAMES = {"ubfd": "8", "ubf-rdmad": "8", "ubf-portal": "8", "ubf-connect": "8", "ubfd.toml": "5", "ubfctl": "1"}
_HEADING = re.compile(r'<h([12]) class="S[hs]" id="([^"]*)">(?:<a [^>]*>)?(.*?)(?:</a>)?</h\1>', re.S)


def page(source):
    """The page of one .scd file, in Markdown: headings that the table of contents finds, and HTML between them."""
    roff = subprocess.run(["scdoc"], input=source.read_bytes(), stdout=subprocess.PIPE, check=True).stdout
    html = subprocess.run(["mandoc", "-T", "html", "-O", "fragment"], input=roff, stdout=subprocess.PIPE,
                          check=True).stdout.decode()
    html = re.sub(r'<table class="(?:head|foot)">.*?</table>', "", html, flags=re.S)
    html = re.sub(r"</?section[^>]*>|</?main[^>]*>|^<div class=\"manual-text\">|</div>\s*\Z", "", html.strip())
    name, section = source.stem.rsplit(".", 1)
    first, *rest = _HEADING.split(html)
    parts = [f"# {name}({section})\n", _block(first, name)]
    for level, anchor, title, body in zip(rest[::4], rest[1::4], rest[2::4], rest[3::4]):
        parts += [f"{'#' * (int(level) + 1)} {' '.join(title.split())} {{#{anchor}}}\n", _block(body, name)]
    return "\n".join(parts)


def _block(html, here):
    html = html.strip()
    if not html:
        return ""

    def link(match):
        name = match[1]
        if name == here or _NAMES.get(name) != match[2]:
            return match[0]
        return f'<a href="{name}.{match[2]}.html">{match[0]}</a>'

    html = re.sub(r"<[ib]>([\w.-]+)</[ib]>\((\d)\)", link, html)
    return f'<div class="man">\n{html}\n</div>\n'


def linked(markdown):
    """Text in which each *NAME*(SECTION) of ubf leads to the man page."""
    def link(match):
        name = match[1] or match[2]
        return f"[{match[0]}](man/{name}.{match[3]}.md)" if _NAMES.get(name) == match[3] else match[0]

    return re.sub(r"(?<!\[)(?:\*([\w.-]+)\*|`([\w.-]+)(?=\(\d\)`))\((\d)\)`?", link, markdown)
