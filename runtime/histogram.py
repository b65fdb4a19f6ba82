"""Counts durations in buckets that grow by a constant factor, so that a percentile costs no memory for each duration.

Two histograms may be subtracted, for what has come since, and added, for those of several processes: that is all that
percentiles over time and over machines take. A percentile is the upper end of a bucket: at most 1.2 % above the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Self

PER_DECADE: Final = 200
LEAST: Final = 1e-5  # seconds; shorter durations count as this one
MOST: Final = 1e3  # seconds; longer durations count as this one
BUCKETS: Final = round(PER_DECADE * math.log10(MOST / LEAST)) + 1
BOUNDS: Final = tuple(float(f"{LEAST * 10 ** (index / PER_DECADE):.9g}") for index in range(BUCKETS))


class Histogram:
    """Durations in seconds. `counts` holds how many there are for each of BOUNDS, which are upper ends."""

    __slots__ = ("counts",)

    def __init__(self, counts: Iterable[int] = ()) -> None:
        self.counts = list(counts) or [0] * BUCKETS
        if len(self.counts) != BUCKETS:
            raise ValueError(f"a histogram has {BUCKETS} counts, not {len(self.counts)}: it is from another version")

    def add(self, seconds: float) -> None:
        """Count one duration."""
        index = math.ceil(math.log10(seconds / LEAST) * PER_DECADE - 1e-9) if seconds > LEAST else 0
        self.counts[min(index, BUCKETS - 1)] += 1

    def copy(self) -> Histogram:
        """The histogram as it is now."""
        return Histogram(self.counts)

    def __iadd__(self, other: Histogram) -> Self:
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        return self

    def __sub__(self, earlier: Histogram) -> Histogram:
        """What was counted since `earlier`, which is a copy of this one."""
        return Histogram(now - before for now, before in zip(self.counts, earlier.counts, strict=True))

    @property
    def total(self) -> int:
        """How many durations were counted."""
        return sum(self.counts)

    def percentile(self, part: float) -> float:
        """The duration in seconds that `part` of all, from 0 to 1, do not exceed; 0.0 where nothing was counted."""
        wanted = math.ceil(self.total * part)
        seen = 0
        for bound, count in zip(BOUNDS, self.counts, strict=True):
            seen += count
            if seen >= wanted and count:
                return bound if bound > LEAST else 0.0
        return 0.0
