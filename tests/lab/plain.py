"""For tests that need neither nodes nor root."""

import argparse
import pathlib
import shutil
import sys

_RELEASE = pathlib.Path(__file__).resolve().parents[2] / "build" / "release"
_SKIPPED = 77  # CTest's status for a skipped test


def take_build():
    """Takes --build from the command line, and leaves the rest to unittest. Returns the build tree."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=_RELEASE)
    options, sys.argv[1:] = parser.parse_known_args()
    return options.build.resolve()


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            print(f"skipped: {program} is not installed")
            sys.exit(_SKIPPED)
