"""Bounds for every kind of request, and for one: which applies, and when it is crossed."""

from __future__ import annotations

from typing import Any

import pytest
from hublet.loadtest.bounds import Bound, Bounds, labels, parse_bound
from hublet.loadtest.options import seconds
from hublet.loadtest.recorder import INTERVAL, Kind

GET = Kind("page=/about", "GET", "/about")
BOUNDS = Bounds(Bound(0.5, {}), Bound(0.01, {}))


def figures(**more: Any) -> dict[str, Any]:
    return {"requests": 1000, "failures": 0, "timed": 1000, "p99": 0.1, **more}


@pytest.mark.parametrize(
    "given, found", [("2s", ("", 2.0)), ("page=2s", ("page", 2.0)), ("page=/a?b=c=500ms", ("page=/a?b=c", 0.5))]
)
def test_reading(given: str, found: tuple[str, float]) -> None:
    assert parse_bound(seconds)(given) == found


@pytest.mark.parametrize(
    "special, bound",
    [
        ({}, 0.5),
        ({"page": 1.0}, 1.0),
        ({"page": 1.0, "page=/about": 2.0}, 2.0),
        ({"page=/about": 2.0, "/about": 3.0}, 3.0),
        ({"/about": 3.0, "GET /about": 4.0}, 4.0),
        ({"pag": 1.0, "/abou": 1.0, "POST /about": 1.0}, 0.5),
    ],
)
def test_the_narrowest_counts(special: dict[str, float], bound: float) -> None:
    bounds = Bounds(Bound(0.5, special), Bound(0.01, {}))
    assert not bounds.excesses(GET, figures(p99=bound))
    assert bounds.excesses(GET, figures(p99=bound + 0.001))


def test_the_last_of_several_counts() -> None:
    assert Bound.of(0.5, [("", 1.0), ("page", 2.0), ("", 3.0), ("page", 4.0)]) == Bound(3.0, {"page": 4.0})
    assert Bound.of(0.5, [("page", 4.0)]).most == 4.0
    assert Bound.of(0.5, []).most == 0.5


@pytest.mark.parametrize("failures, said", [(9, []), (10, []), (11, ["1.10% errors are over 1.00%"])])
def test_errors(failures: int, said: list[str]) -> None:
    assert list(map(str, BOUNDS.excesses(GET, figures(failures=failures)))) == said


@pytest.mark.parametrize("timed, few", [(100, ""), (99, " (the slowest of 99)"), (1, " (the slowest of 1)")])
def test_of_few_requests_it_is_said_how_many(timed: int, few: str) -> None:
    (excess,) = BOUNDS.excesses(GET, figures(timed=timed, p99=0.6))
    assert str(excess) == f"a p99 of 600 ms{few} is over 500 ms"


def test_intervals_have_no_bound_but_failures_do() -> None:
    kind = Kind("events=/events", INTERVAL, "/events")
    assert not BOUNDS.excesses(kind, figures(p99=60.0))
    assert BOUNDS.excesses(kind, figures(p99=60.0, failures=11))
    assert not BOUNDS.excesses(Kind("publish=/push", "PUBLISH", "/push"), figures(p99=None, timed=0))


def test_bounds_for_what_was_not_asked_for() -> None:
    bounds = Bounds(Bound(0.5, {"page": 1.0, "/abuot": 1.0}), Bound(0.01, {"POST /about": 0.5}))
    assert bounds.unused([GET]) == ["/abuot", "POST /about"]


def test_names_for_people() -> None:
    echo = "websocket=/echo"
    kinds = [
        GET,
        Kind(echo, "CONNECT", "/echo"),
        Kind(echo, "WS", "/echo"),
        Kind("", "GET", "/x"),
        Kind("Me", "A", "b"),
    ]
    kinds.append(Kind("Me", "C", "d"))
    assert list(labels(kinds).values()) == [
        "page=/about", "websocket=/echo CONNECT", "websocket=/echo WS", "GET /x", "Me A b", "Me C d"
    ]  # fmt: skip
