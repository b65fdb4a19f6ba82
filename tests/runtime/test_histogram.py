"""The histogram: percentiles within a bucket of the truth, differences and sums."""

from __future__ import annotations

import random

import pytest
from hublet.runtime.histogram import BOUNDS, BUCKETS, LEAST, MOST, Histogram


def filled(*durations: float) -> Histogram:
    histogram = Histogram()
    for each in durations:
        histogram.add(each)
    return histogram


@pytest.mark.parametrize("part", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_a_percentile_is_at_most_1_2_percent_above_the_truth(part: float) -> None:
    durations = sorted(random.Random(7).lognormvariate(-4, 2) for _ in range(5000))
    truth = durations[max(-(-len(durations) * int(part * 100) // 100) - 1, 0)]
    assert truth <= filled(*durations).percentile(part) <= truth * 1.0117


def test_nothing_counted() -> None:
    assert Histogram().percentile(0.99) == 0.0
    assert Histogram().total == 0


def test_zero_counts_as_zero() -> None:
    assert filled(0.0, 0.0, 0.0, 5.0).percentile(0.5) == 0.0


@pytest.mark.parametrize("bound", [BOUNDS[1], BOUNDS[100], MOST])
def test_a_bound_belongs_to_its_own_bucket(bound: float) -> None:
    assert filled(bound).percentile(1) == bound
    assert filled(bound * 0.99).percentile(1) == bound
    assert filled(bound * 1.01).percentile(1) == (
        min(each for each in (*BOUNDS, MOST) if each >= min(bound * 1.01, MOST))
    )


def test_what_is_beyond_the_ends_counts_as_the_end() -> None:
    assert filled(MOST * 100).percentile(1) == MOST
    assert filled(LEAST / 100).percentile(1) == 0.0


def test_differences_and_sums() -> None:
    histogram = filled(0.001, 0.001)
    before = histogram.copy()
    histogram.add(1.0)
    since = histogram - before
    assert (since.total, since.percentile(0)) == (1, 1.0)
    before += since
    assert before.counts == histogram.counts


def test_counts_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match=f"has {BUCKETS} counts, not 3"):
        Histogram([1, 2, 3])
