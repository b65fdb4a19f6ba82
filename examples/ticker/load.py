"""The load: how many requests are in flight."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gauge:
    """Counts what is going on now, and the most that ever was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = 0
        self.peak = 0
        self.total = 0

    @contextmanager
    def count(self) -> Iterator[None]:
        """Count one more for the `with` block."""
        with self._lock:
            self.now += 1
            self.total += 1
            self.peak = max(self.peak, self.now)
        try:
            yield
        finally:
            with self._lock:
                self.now -= 1

    def reading(self) -> dict[str, int]:
        """Give the figures as the page knows them."""
        return {"now": self.now, "peak": self.peak, "total": self.total}


in_flight = Gauge()
