"""Lists for Python-Markdown, which wants four columns for each level of a list, and a blank line before the list."""

import re

_MARKER = re.compile(r"([-*]|\d+\.) +(?=\S)")


def reindent(text):
    """The text with four columns for each level, from a text with as many columns as each marker takes."""
    columns, result, fence, loose = [], [], False, False
    for line in text.split("\n"):
        words = line.lstrip(" ")
        indent = len(line) - len(words)
        lazy = bool(result and result[-1].strip())
        while columns and words and indent < columns[-1] and not (lazy and not _MARKER.match(words)):
            columns.pop()
        beyond = max(indent - (columns[-1] if columns else 0), 0)
        marker = None if fence or beyond > 3 else _MARKER.match(words)
        if words.startswith("```"):
            fence = not fence
        if marker:
            if lazy and (loose or (not columns and not result[-1].startswith(" ") and not _MARKER.match(result[-1]))):
                result.append("")
            result.append(" " * 4 * len(columns) + f"{marker[1]:<4}{words[marker.end():]}")
            columns.append(indent + marker.end())
        else:
            loose = bool(columns) and (loose or not words)  # an item has two paragraphs
            result.append((" " * (4 * len(columns) + beyond) + words) if words else "")
    return "\n".join(result)
