"""The shapes of a load test, and the search for the knee against a server whose limit is known exactly."""

from __future__ import annotations

import pytest
from hublet.loadtest.bounds import Bound, Bounds
from hublet.loadtest.plans import PARTS, SHAPES, Knee, Point, least_users, sample_interval, users_at
from hublet.loadtest.verdict import fail_unanswered, judge_knee


@pytest.mark.parametrize(
    "shape, users",
    [
        ("steady", [100, 100, 100, 100, 100]),
        ("ramp", [1, 32, 63, 94, 100]),
        ("step", [20, 40, 60, 80, 100]),
        ("spike", [10, 10, 100, 10, 10]),
        ("soak", [1, 100, 100, 100, 100]),
    ],
)
def test_users_over_time(shape: str, users: list[int]) -> None:
    assert [users_at(shape, at, 100, 100) for at in (0, 25, 50, 75, 99)] == users
    assert users_at(shape, 100, 100, 100) is None


@pytest.mark.parametrize("time, interval", [(1, 1), (3600, 1), (7200, 2), (7 * 86400, 168)])
def test_long_tests_have_longer_samples(time: float, interval: float) -> None:
    assert sample_interval(time) == interval


def test_there_is_always_a_user_and_never_one_too_many() -> None:
    for shape in PARTS:
        assert {users_at(shape, at / 10, 3, 10) for at in range(100)} <= {1, 2, 3}
    assert set(SHAPES) == {*PARTS, "knee"}


def found(limit: int, most: int = 1000, least: int = 1) -> Knee:
    """Search for the knee of a server that is good for up to `limit` users."""
    knee = Knee(most, least)
    users: int | None = knee.first_users
    while users is not None:
        assert 1 <= users <= most
        users = knee.next_users(Point(users, 10.0 * users, 0.1, 0.0, () if users <= limit else ("slow",)))
    return knee


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 64, 65, 100, 333, 999])
def test_the_knee_is_found_to_a_tenth(limit: int) -> None:
    knee = found(limit)
    assert knee.good is not None
    assert knee.bad is not None
    assert knee.good.users <= limit < knee.bad.users
    assert limit - knee.good.users <= max(limit * 0.1, 1)
    assert len(knee.points) < 16


def test_a_limit_that_is_not_reached() -> None:
    knee = found(5000, most=300)
    assert knee.good is not None
    assert (knee.good.users, knee.bad) == (300, None)


@pytest.mark.parametrize("limit, tried", [(2, [20]), (25, [20, 40, 30, 25, 27])])
def test_every_class_of_users_is_there_from_the_beginning(limit: int, tried: list[int]) -> None:
    knee = found(limit, most=100, least=least_users([19, 1]))
    assert [each.users for each in knee.points] == tried
    assert (0 if knee.good is None else knee.good.users) == (25 if limit == 25 else 0)


@pytest.mark.parametrize(
    "weights, least", [([], 1), ([5], 1), ([0, 0], 1), ([3, 2, 0], 3), ([19, 1], 20), ([1] * 4, 4)]
)
def test_users_for_one_of_each_class(weights: list[int], least: int) -> None:
    assert least_users(weights) == least


def test_the_least_users_are_not_more_than_the_most() -> None:
    assert Knee(3, 20).first_users == 3


def test_no_good_point_at_all() -> None:
    knee = found(0)
    assert knee.good is None
    assert [each.users for each in knee.points] == [62, 31, 15, 7, 3, 1]


@pytest.mark.parametrize("rate, broken, good", [(1, (), True), (1, ("a p99",), False), (0, (), False)])
def test_a_point_is_good_with_responses_within_the_bounds(rate: float, broken: tuple[str, ...], good: bool) -> None:
    assert Point(1, rate, 0.1, 0.0, broken).is_good == good


@pytest.mark.parametrize("last, unanswered, held", [((), 0, True), ((), 1, False), (("slow",), 1, True)])
def test_users_who_still_wait_are_in_no_good_point(last: tuple[str, ...], unanswered: int, held: bool) -> None:
    knee = Knee(8)
    for broken in ((), last):
        knee.next_users(Point(4, 40.0, 0.1, 0.0, broken))
    verdict = judge_knee(knee, finished=True)
    rows = [{"user": "page=/", "unanswered": unanswered}]
    samples = [{"users": 8, "by_user": {"page=/": 8}}]
    fail_unanswered(verdict, knee, rows, samples, Bounds(Bound(0.5, {}), Bound(0.01, {})))
    assert verdict.held == held
    said = f"no verdict: page=/: {unanswered} users had no answer until the test was over"
    assert (verdict.line == said) != held
