"""How much memory this process has."""

from __future__ import annotations

import resource
import sys

from .limits import KIB


def resident_bytes() -> int:
    """The memory of this process that is in RAM; its peak where the system tells no more."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * KIB
