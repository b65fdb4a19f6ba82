"""How long operations took, and for how long the hub stood still meanwhile, seen by a greenlet that ticks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import gevent

TICK: Final = 0.005  # seconds


@dataclass
class Measured:
    """Seconds that operations took, and the longest time for which the hub did not turn."""

    elapsed: float = 0.0
    stall: float = 0.0


@contextmanager
def measured() -> Iterator[Measured]:
    """Measure what is done within."""
    result = Measured()

    def tick() -> None:
        last = time.perf_counter()
        while True:
            gevent.sleep(TICK)
            now = time.perf_counter()
            result.stall, last = max(result.stall, now - last - TICK), now

    ticker = gevent.spawn(tick)
    gevent.sleep(0)
    begun = time.perf_counter()
    try:
        yield result
    finally:
        result.elapsed = time.perf_counter() - begun
        gevent.sleep(2 * TICK)  # the ticker sees a stall that has just ended
        ticker.kill()
