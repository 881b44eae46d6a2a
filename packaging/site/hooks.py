"""Hooks of MkDocs: the site has the pages in docs/, those at the top of the tree, and the man pages.

Links between files of the tree become links between pages of the site. The site has a copy of each other file that a
page links to, below source/.
"""

import pathlib
import posixpath
import re
import shutil
import sys
import tempfile

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "demo")]
import manual  # noqa: E402
from lists import reindent  # noqa: E402
from recording import to_svg  # noqa: E402

TOP = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md",
       "SECURITY.md": "security-policy.md"}
STYLE = "packaging/site/ubf.css"
SCREEN = re.compile(r"^(?P<indent> *)<!-- screen (?P<name>\w+) -->\n(?P<text>.*?)^ *<!-- end of screen -->\n", re.M | re.S)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_stage = None


def site_path(path):
    """The place in the site of a file of the tree."""
    if path in TOP:
        return TOP[path]
    if path.endswith(".scd"):
        return f"man/{pathlib.Path(path).stem}.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}"


def tree_path(page):
    """The file of the tree that a page of the site comes from."""
    return {site: tree for tree, site in TOP.items()}.get(page, f"docs/{page}")


def links(text, source):
    """The files of the tree that a page links to."""
    return {posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1])) for match in LINK.finditer(text)}


def on_config(config):
    global _stage  # MkDocs keeps nothing for a hook
    _stage = pathlib.Path(tempfile.mkdtemp(prefix="ubf-site-"))
    return config


def on_post_build(config):
    shutil.rmtree(_stage)


def on_build_error(error):
    shutil.rmtree(_stage, ignore_errors=True)


def on_files(files, config):
    for file in [file for file in files if file.src_path.endswith((".scd", "CMakeLists.txt"))]:
        files.remove(file)
    copies = {STYLE: site_path(STYLE), **TOP}
    for source in [*TOP, *(f"docs/{file.src_path}" for file in files.documentation_pages())]:
        text = (ROOT / source).read_text(encoding="utf-8")
        for path in links(text, source):
            if not path.startswith("docs/") and path not in TOP:
                copies[path] = site_path(path)
        for screen in SCREEN.finditer(text):
            write(f"screens/{screen['name']}.svg", picture(screen))
    for path, place in copies.items():
        if not (ROOT / path).is_file():
            raise PluginError(f"a page links to {path}, which is no file")
        write(place, (ROOT / path).read_text(encoding="utf-8"))
    for source in (ROOT / "docs").glob("*.scd"):
        write(f"man/{source.stem}.md", manual.page(source))
    for path in sorted(_stage.rglob("*")):
        if path.is_file():
            files.append(File(str(path.relative_to(_stage)), str(_stage), config["site_dir"], False))
    return files


def write(place, text):
    (_stage / place).parent.mkdir(parents=True, exist_ok=True)
    (_stage / place).write_text(text, encoding="utf-8")


def plain(screen):
    """A screen's lines, without the page's indentation."""
    return [line[len(screen["indent"]) + 4:] for line in screen["text"].strip("\n").split("\n")]


def picture(screen):
    lines = [(0, [("b" if number == 0 else "", line)]) for number, line in enumerate(plain(screen))]
    return to_svg(lines, plain(screen)[0])


def on_page_markdown(markdown, page, config, files):
    source = page.file.src_path
    if source.startswith("man/"):
        return markdown
    here, tree = posixpath.dirname(source) or ".", tree_path(source)

    def moved(match):
        target = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(tree), match[1])))
        return f"]({posixpath.relpath(target, here)}{match[2] or ''})"

    def shown(screen):
        indent, command = screen["indent"], plain(screen)[0]
        text = "".join(f"{indent}        {line}".rstrip() + "\n" for line in plain(screen))
        return f'{indent}![{command}](screens/{screen["name"]}.svg)\n\n{indent}??? quote "The same as text"\n\n{text}'

    markdown = SCREEN.sub(shown, LINK.sub(moved, markdown))
    return reindent(manual.linked(markdown))
