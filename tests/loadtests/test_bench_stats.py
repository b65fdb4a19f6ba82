"""The statistics: percentiles, summaries over rounds, ratios."""

from __future__ import annotations

import pytest

from loadtests.bench.stats import percentile, ratio, summarise


@pytest.mark.parametrize(
    ("percent", "expected"), [(0.5, 1), (1, 1), (50, 50), (50.1, 51), (99, 99), (99.5, 100), (100, 100)]
)
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


def test_every_percentile_of_one_value_is_that_value() -> None:
    assert {percentile([7.0], percent) for percent in (1, 50, 99, 100)} == {7.0}


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_percentile_refuses_percentages_that_are_none(percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile([1.0], percent)


def test_percentile_refuses_no_values() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_summary_takes_the_median_of_each_figure() -> None:
    samples = [{"rate": 1.0, "p99": 9.0}, {"rate": 100.0, "p99": 7.0}, {"rate": 3.0, "p99": 8.0}]
    assert summarise(samples) == {"rate": 3.0, "p99": 8.0}


def test_summary_of_two_rounds_lies_between_them() -> None:
    assert summarise([{"rate": 1.0}, {"rate": 2.0}]) == {"rate": 1.5}


def test_summary_shows_the_worst_round_where_that_is_asked_for() -> None:
    samples = [{"errors": 0.0, "p99": 1.0}, {"errors": 5.0, "p99": 2.0}, {"errors": 0.0, "p99": 3.0}]
    assert summarise(samples, {"errors"}) == {"errors": 5.0, "p99": 2.0}


def test_summary_without_rounds_is_empty() -> None:
    assert summarise([]) == {}


def test_ratio_is_above_one_for_the_better() -> None:
    assert ratio(200.0, 100.0, more_is_better=True) == 2.0
    assert ratio(100.0, 200.0, more_is_better=False) == 2.0
    assert ratio(100.0, 200.0, more_is_better=True) == 0.5


def test_ratio_to_nothing_is_none() -> None:
    assert ratio(1.0, 0.0, more_is_better=True) is None
    assert ratio(0.0, 1.0, more_is_better=False) is None
