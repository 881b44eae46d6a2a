"""Prints the demo, with colour and at a readable pace on a terminal, and counts the results."""

import os
import sys
import textwrap
import time

WIDTH = 100
_CODES = {"title": "1;36", "prompt": "1", "good": "32", "refused": "33", "wrong": "1;31", "faint": "2"}


class Screen:
    def __init__(self, stream=sys.stdout):
        self._stream = stream
        self._slow = stream.isatty()
        self._coloured = self._slow and "NO_COLOR" not in os.environ
        self.tries, self.wrong = 0, 0

    def paint(self, text, style):
        return f"\033[{_CODES[style]}m{text}\033[0m" if self._coloured and style else text

    def line(self, text="", style=None, pause=0.15):
        print(self.paint(text, style), file=self._stream, flush=True)
        if self._slow:
            time.sleep(pause)

    def title(self, text):
        self.line(pause=0.8)
        self.line(text, "title", pause=0.6)

    def prompt(self, who, command):
        self.line(f"{who}{'#' if who.startswith('root@') else '$'} {command}", "prompt", pause=0.5)

    def wrapped(self, text, indent="  ", style=None):
        """A paragraph. Its second and further lines stand deeper, below the text after `indent`."""
        for each in textwrap.wrap(text, WIDTH - 4, initial_indent="  ", subsequent_indent=indent,
                                  break_on_hyphens=False, break_long_words=False):
            self.line(each, style)

    def result(self, text, right, expected, style="good", pause=0.4):
        """A result, counted. `expected` is shown if the result is not right."""
        self.tries += 1
        self.line(text, style if right else "wrong", pause)
        if not right:
            self.wrong += 1
            self.line(f"  WRONG: expected {expected}", "wrong")

    def sum(self):
        right = self.tries - self.wrong
        self.line()
        self.line(f"{right} of {self.tries} as they should be", "wrong" if self.wrong else "good")
