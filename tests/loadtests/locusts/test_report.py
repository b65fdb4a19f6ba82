"""The verdict in words, and plots whose axes fit their data."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hublet.loadtest.plots import Series, line_plot, ticks_to
from hublet.loadtest.recorder import Totals
from hublet.loadtest.verdict import explain, judge, milliseconds
from hublet.runtime.histogram import Histogram


def sample(at: float, p99: float = 0.1, failures: int = 0, **more: Any) -> dict[str, Any]:
    counted = {"users": int(at * 10), "requests": 100, "failures": failures}
    return {"at": at, **counted, "p99": p99, "generator_cpu": 0.2, **more}


TOTAL = {"requests": 1000, "failures": 10, "rate": 100.0, "p50": 0.02, "p99": 0.5}


def test_bounds_that_are_met_exactly_hold() -> None:
    verdict = judge(TOTAL, [sample(1)], max_p99=0.5, max_errors=0.01)
    assert verdict.held
    assert str(verdict) == "held: 1000 requests, 100 a second, p50 20 ms, p99 500 ms, 1.00% errors"


def test_what_broke_first_is_said() -> None:
    samples = [sample(1), sample(2, failures=2), sample(3, p99=3.0)]
    verdict = judge(TOTAL | {"failures": 11}, samples, max_p99=0.4, max_errors=0.01)
    assert not verdict.held
    assert verdict.notes == [
        "p99 500 ms is over 400 ms",
        "1.10% errors are over 1.00%",
        "first: errors after 2 s, with 20 users",
    ]


def test_a_server_that_stalls_did_not_hold_whatever_the_percentiles_are() -> None:
    quiet = {"requests": 0}
    samples = [sample(1), sample(2, **quiet), sample(3), sample(4, **quiet), sample(5, **quiet), sample(6)]
    verdict = judge(TOTAL, samples, max_p99=0.5, max_errors=0.01, max_silence=0.5)
    assert (verdict.held, verdict.notes) == (False, ["no response at all for 2 s, after 3 s"])
    assert judge(TOTAL, samples, 0.5, 0.01, max_silence=1.0).held
    assert judge(TOTAL, samples, 0.5, 0.01).held  # where nobody asks


def test_silence_without_users_is_none() -> None:
    samples = [sample(1), *(sample(at, requests=0, users=0) for at in (2, 3, 4)), sample(5)]
    assert judge(TOTAL, samples, 0.5, 0.01, max_silence=0.5).held


@pytest.mark.parametrize("unanswered, held", [(2, True), (3, False)])
def test_users_without_an_answer_are_more_than_a_few_requests(unanswered: int, held: bool) -> None:
    verdict = judge(TOTAL | {"unanswered": unanswered}, [sample(20)], max_p99=0.5, max_errors=0.01)
    assert verdict.held == held
    assert ("3 users had no answer until the test was over" in verdict.notes) != held


def test_of_what_held_the_bad_seconds_are_said() -> None:
    verdict = judge(TOTAL, [sample(1), sample(2, p99=3.0)], max_p99=0.5, max_errors=0.01)
    assert verdict.held
    assert verdict.notes == ["over the bounds in places, first: a p99 of 3.00 s after 2 s, with 20 users"]


def test_no_request_is_no_verdict() -> None:
    assert not judge(TOTAL | {"requests": 0}, [], 0.5, 0.01).held


@pytest.mark.parametrize("cpu, said", [(0.9, False), (0.91, True)])
def test_a_generator_that_measures_itself_says_so(cpu: float, said: bool) -> None:
    verdict = judge(TOTAL, [sample(1)], 0.5, 0.01)
    explain(verdict, [sample(1) | {"generator_cpu": cpu}], [])
    assert ("the load generator used all of its processor" in str(verdict)) == said


def test_a_generator_that_is_full_only_at_the_peak_says_so() -> None:
    verdict = judge(TOTAL, [sample(1)], 0.5, 0.01)
    explain(verdict, [*([sample(1)] * 6), *([sample(1) | {"generator_cpu": 0.99}] * 2)], [])
    assert "used all of its processor at times" in str(verdict)


def test_a_late_hub_and_its_blockers_are_named() -> None:
    verdict = judge(TOTAL, [sample(1)], 0.5, 0.01)
    blocker = {"file": "app.py", "line": 7, "function": "view", "count": 3, "longest": 0.25, "total": 0.6}
    explain(verdict, [sample(1, server_lag=0.05), sample(2, server_lag=0.3)], [blocker])
    assert verdict.notes == [
        "the hub was late by up to 300 ms, after 2 s",
        "app.py:7 in view blocked the hub 3 times, 250 ms at the most, 0.60 s in all",
    ]


@pytest.mark.parametrize("seconds, text", [(0.0, "0 ms"), (0.00056, "0.56 ms"), (0.9994, "999 ms"), (1.5, "1.50 s")])
def test_times_for_people(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text


@pytest.mark.parametrize(
    "most, ticks", [(0, [0, 1]), (1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (7, [0, 2, 4, 6, 8]), (1200, [0, 500, 1000, 1500])]
)
def test_ticks_are_round_and_reach_the_greatest_value(most: float, ticks: list[float]) -> None:
    assert ticks_to(most) == pytest.approx(ticks)


def test_lines_stay_inside_of_the_plot_and_the_greatest_is_at_the_top() -> None:
    text = line_plot("A <plot>", "ms", [Series("a & b", [(0, 0), (5, 10), (10, 5)]), Series("empty", [])], bound=5)
    svg, legend = re.fullmatch(r"(<svg.*?</svg>)\n(<ul.*</ul>)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == root[0].text == "A <plot>"
    (line,) = root.findall("polyline")
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert points == [(64, 206), (454, 16), (844, 111)]
    (bound,) = (each for each in root.findall("line") if each.attrib["class"] == "bound")
    assert float(bound.attrib["y1"]) == 111
    assert "a &amp; b" in legend
    assert "empty" not in legend


def test_a_plot_without_data_is_an_empty_plot() -> None:
    assert "<polyline" not in line_plot("Nothing", "ms", [])


def test_totals_of_an_interval() -> None:
    before = Totals(Histogram(), 5, 1, 100)
    now = before.copy()
    now.times.add(0.1)
    now.requests, now.failures, now.received = 9, 2, 150
    since = now - before
    assert (since.times.total, since.requests, since.failures, since.received, since.error_ratio) == (1, 4, 1, 50, 0.25)
    assert before.times.total == 0
    assert Totals(Histogram()).error_ratio == 0
