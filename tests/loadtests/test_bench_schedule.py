"""The time that cases get, by a clock that the test moves."""

from __future__ import annotations

import pytest

from loadtests.bench.cases import CASES
from loadtests.bench.cases.case import Options
from loadtests.bench.schedule import ROUND_SECONDS, Schedule

HELLO, BROWSER, *_ = CASES
IDLE = next(case for case in CASES if case.name == "idle")


class Clock:
    """A clock."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock, budget: float | None) -> Schedule:
    return Schedule([(HELLO, 10), (BROWSER, 10)], Options(rounds=3, seconds=1), budget, clock)


def test_without_a_budget_every_round_runs_and_the_estimate_shrinks() -> None:
    clock = Clock()
    schedule = make(clock, None)
    whole = 2 * 3 * 10 * (ROUND_SECONDS + 2)
    assert schedule.remaining_seconds() == pytest.approx(whole)
    schedule.begin_case(HELLO)
    clock.now += 20
    assert schedule.remaining_seconds() == pytest.approx(whole - 20)
    assert schedule.has_time_for_round(3)


def test_a_round_that_would_end_beyond_the_share_is_left_out_but_never_the_first() -> None:
    clock = Clock()
    schedule = make(clock, 100)
    schedule.begin_case(HELLO)  # its share is 50 s
    clock.now += 25
    assert schedule.has_time_for_round(2)
    clock.now += 0.1
    assert not schedule.has_time_for_round(2)
    clock.now += 1000
    schedule.begin_case(BROWSER)
    assert schedule.has_time_for_round(1)
    assert schedule.remaining_seconds() == 0


def test_what_a_case_does_not_use_goes_to_the_next() -> None:
    clock = Clock()
    schedule = make(clock, 100)
    schedule.begin_case(HELLO)
    clock.now += 10
    schedule.begin_case(BROWSER)
    clock.now += 45
    assert schedule.has_time_for_round(2)
    clock.now += 0.1
    assert not schedule.has_time_for_round(2)


def test_a_case_whose_figure_hardly_varies_has_fewer_rounds() -> None:
    assert make(Clock(), None).rounds(IDLE) == 1
    assert make(Clock(), None).rounds(HELLO) == 3
