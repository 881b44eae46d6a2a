"""The sentences of a file's comments or, of a page, of its text; and the faults of those that are not plain English."""

import ast
import collections
import io
import re
import tokenize

# line: of the paragraph that holds it.
Sentence = collections.namedtuple("Sentence", "line text")

LONGEST = 30  # words
HINGE = re.compile(r"(What|Whatever|Who|Whoever|Whose|Whom|Which|Whichever|Where|Wherever|Of|So that)\b")
ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|cf|vs|etc|no|sec)\.(?=\s)")
END = re.compile(r"(?<=[.!?])[)\"'*_]*\s+(?=[\"'(*_`]*[A-Z0-9])")


def fault(sentence):
    """Says why this is not plain English, or None."""
    text = sentence.text.strip("*_\"'( ")
    if HINGE.match(text) and not text.endswith("?"):
        return f"begins with '{HINGE.match(text).group(1)}'"
    words = len([word for word in text.split() if re.search(r"\w", word)])
    return f"has {words} words" if words > LONGEST else None


def sentences(path):
    text = path.read_text(encoding="utf-8")
    kind = path.suffix
    if kind == ".md":
        found = _markdown(text)
    elif kind == ".scd":
        found = _man_page(text)
    elif kind == ".py" or text.startswith("#!/usr/bin/python3"):
        found = _python(text)
    elif kind in (".cpp", ".hpp", ".c", ".h"):
        found = _comments(text, r"//+")
    else:
        found = _comments(text, r"#+")
    for line, paragraph in found:
        for sentence in END.split(ABBREVIATIONS.sub(r"\1", " ".join(paragraph.split()))):
            if sentence:
                yield Sentence(line, sentence)


def _paragraphs(numbered):
    """Joins lines until an empty one; a list's item begins a paragraph."""
    start, lines = None, []
    for number, line in numbered:
        line = line.strip()
        if lines and (not line or re.match(r"([-*+]|\d+\.)\s", line)):
            yield start, " ".join(lines)
            lines = []
        if line:
            start = number if not lines else start
            lines.append(re.sub(r"^([-*+]|\d+\.)\s+", "", line))
    if lines:
        yield start, " ".join(lines)


def _comments(text, mark):
    """Runs of lines that hold nothing but a comment, and comments behind code, each by itself."""
    whole, behind = re.compile(rf"\s*(?:{mark})(?!!)(.*)"), re.compile(rf"\S.*\s(?:{mark})\s+(.*)")
    run = []
    for number, line in enumerate(text.splitlines(), 1):
        match = whole.match(line)
        run.append((number, match.group(1) if match else ""))
        if not match and behind.match(line) and line.count('"') % 2 == 0:
            run += [(number, behind.match(line).group(1)), (number, "")]
    yield from _paragraphs(run)


def _python(text):
    run, last = [], 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or token.string.startswith("#!") or "noqa" in token.string:
            continue
        line = token.start[0]
        alone = token.line.lstrip().startswith("#")
        if line != last + 1 or not alone:
            run.append((line, ""))
        run.append((line, token.string.lstrip("# ")))
        last = line if alone else -1
    yield from _paragraphs(run)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            said = ast.get_docstring(node)
            if said:
                yield from _paragraphs(enumerate(said.splitlines(), node.body[0].lineno))


def _markdown(text):
    run, in_code = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
            line = ""
        if in_code or line.startswith(("#", "<", "    ")):
            line = ""
        if line.lstrip().startswith("|"):
            for cell in line.strip().strip("|").split("|"):
                run += [(number, ""), (number, cell)]
            line = ""
        run.append((number, re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line)))
    yield from _paragraphs(run)


def _man_page(text):
    run, in_code, depth = [], False, 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            in_code = not in_code
            line = ""
        if in_code or line.startswith(("#", ";", "|", ":", "]", "[")):
            line = line[2:] if line[:1] in "|:][" and not in_code else ""
            run.append((number, ""))
        deeper = len(line) - len(line.lstrip("\t"))
        if deeper != depth and line:
            run.append((number, ""))
            depth = deeper
        run.append((number, line))
        if line.endswith("++"):
            run.append((number, ""))
    yield from _paragraphs(run)
