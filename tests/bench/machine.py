"""The machine of the measurement."""

import os
import pathlib
import platform
import re


def describe():
    is_virtual = re.search(r"^flags.*\bhypervisor\b", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    version = ".".join(platform.release().split(".")[:2])
    return (f"a {os.cpu_count()}-core {'virtual ' if is_virtual else ''}machine, Linux {version}, network namespaces "
            f"joined by a veth, load average {os.getloadavg()[0]:.1f} before")
