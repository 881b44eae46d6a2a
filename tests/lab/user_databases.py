"""User databases other than the files, from modules of the C library (tests/netns/nss)."""

import os
import unittest.mock

from . import case
from .tree import replace_file


def look_names_up_in(source):
    """Users and groups come from this module (nsswitch.conf(5)). The C library reads the file again."""
    replace_file("/etc/nsswitch.conf", [f"{what}: {source}" for what in ("passwd", "group", "initgroups")])


def offer_user_databases(test):
    """Programs that the test starts find the modules. Names come from the files, at first and when the test ends."""
    look_names_up_in("files")
    test.addCleanup(look_names_up_in, "files")
    test.enterContext(unittest.mock.patch.dict(os.environ, LD_LIBRARY_PATH=str(case.build / "tests" / "netns")))
