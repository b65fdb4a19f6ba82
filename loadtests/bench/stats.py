"""Medians, percentiles and ratios. Pure functions over samples: one sample is one round's figures by name."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence

Sample = Mapping[str, float]


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the least value that at least `percent` of all values do not exceed.

    Raises ValueError without values or with a percentage outside (0, 100].
    """
    if not values:
        raise ValueError("no values to take a percentile of")
    if not 0 < percent <= 100:
        raise ValueError(f"a percentile is above 0 and at most 100, not {percent}")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def summarise(samples: Sequence[Sample], worst: Collection[str] = ()) -> dict[str, float]:
    """The median of every figure over the rounds, and the maximum of those named in `worst`; {} without samples."""
    if not samples:
        return {}
    return {
        name: max(sample[name] for sample in samples)
        if name in worst
        else statistics.median(sample[name] for sample in samples)
        for name in samples[0]
    }


def ratio(figure: float, other: float, *, more_is_better: bool) -> float | None:
    """How many times as good as `other` a figure is: above 1 is better, whichever way better lies.

    None where a division by zero would be needed.
    """
    above, below = (figure, other) if more_is_better else (other, figure)
    return above / below if below else None
