"""The pauses between attempts at an SQLite lock: on the hub, or where there is none, on the thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent.monkey import get_original

from ...runtime.offload import has_hub_to_yield_to

#: In seconds; the last one repeats. SQLite's own begin like this.
PAUSES: Final = (0.001, 0.002, 0.005, 0.010, 0.015, 0.020, 0.025)

native_sleep: Final[Callable[[float], Any]] = get_original("time", "sleep")


def pause(seconds: float) -> None:
    """Sleep, on the hub if there is one to sleep on."""
    (gevent.sleep if has_hub_to_yield_to() else native_sleep)(seconds)


def pause_before(attempt: int, left: float) -> None:
    """Sleep before an attempt (they are counted from 0), but for no longer than the seconds that are left."""
    pause(min(PAUSES[min(attempt, len(PAUSES) - 1)], left))
