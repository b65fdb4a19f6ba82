"""apsw on the hub: its busy timeout as a busy handler that sleeps there.

A busy handler is called in the midst of a statement, and switches to the hub from there. Meanwhile no other greenlet
may use the connection (SQLite documentation, "sqlite3_busy_handler"): each has its own.
"""

from __future__ import annotations

from time import perf_counter

import apsw

from .lock_pauses import pause_before


class BusyHandler:
    """Waits for a lock for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.began = 0.0

    def __call__(self, attempt: int) -> bool:
        """Pause before another attempt: whether there is to be one."""
        now = perf_counter()
        if not attempt:
            self.began = now
        left = self.seconds - (now - self.began)
        if left <= 0:
            return False
        pause_before(attempt, left)
        return True


class Connection(apsw.Connection):
    """`apsw.Connection`, whose busy timeout yields."""

    def set_busy_timeout(self, milliseconds: int) -> None:
        """As apsw's."""
        self.set_busy_handler(BusyHandler(milliseconds / 1000) if milliseconds > 0 else None)

    setbusytimeout = set_busy_timeout


Connection.__module__ = "apsw"  # where users know it from
