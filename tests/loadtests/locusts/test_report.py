"""The verdict in words, and plots whose axes fit their data."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hublet.loadtest.bounds import Bound, Bounds, milliseconds
from hublet.loadtest.plots import Series, line_plot, ticks_to
from hublet.loadtest.recorder import Totals
from hublet.loadtest.verdict import Verdict, explain, judge, within
from hublet.runtime.histogram import Histogram

GET = {"user": "page=/", "method": "GET", "name": "/"}
SLOW = {"user": "download=/big", "method": "GET", "name": "/big"}
FIGURES = {"requests": 1000, "failures": 10, "unanswered": 0, "rate": 100.0, "timed": 1000, "p50": 0.02, "p99": 0.5}
TOTAL = FIGURES
ROW = GET | FIGURES
BOUNDS = Bounds(Bound(0.5, {}), Bound(0.01, {}))


def bounds(p99: float = 0.5, errors: float = 0.01, **special: float) -> Bounds:
    return Bounds(Bound(p99, special), Bound(errors, {}))


def sample(at: float, *others: dict[str, Any], requests: int = 100, **more: Any) -> dict[str, Any]:
    """A second of ten more users, who all ask for one page, and of other kinds."""
    users = more.pop("users", int(at * 10))
    figures = {"requests": requests, "failures": 0, "timed": requests, "p99": 0.1, **more}
    kinds = [*([GET | figures] if requests else []), *others]
    return {"at": at, "users": users, "by_user": {"page=/": users}, "kinds": kinds, "generator_cpu": 0.2, **more}


def test_bounds_that_are_met_exactly_hold() -> None:
    verdict = judge(TOTAL, [ROW], [sample(1)], BOUNDS)
    assert verdict.held
    assert str(verdict) == "held: 1000 requests, 100 a second, p50 20 ms, p99 500 ms, 1.00% errors"


def test_what_broke_first_is_said() -> None:
    samples = [sample(1), sample(2, failures=2), sample(3, p99=3.0)]
    verdict = judge(TOTAL, [ROW | {"failures": 11}], samples, bounds(p99=0.4))
    assert not verdict.held
    assert verdict.notes == [
        "page=/: a p99 of 500 ms is over 400 ms",
        "page=/: 1.10% errors are over 1.00%",
        "first: page=/: 2.00% errors after 2 s, with 20 users",
    ]


def test_one_kind_does_not_hide_another() -> None:
    """A thousand quick pages, and ten slow downloads: together they have a p99 within the bound."""
    slow = SLOW | FIGURES | {"requests": 10, "timed": 10, "failures": 0, "p99": 4.0}
    samples = [sample(1), sample(2, p99=0.7), sample(3, SLOW | {"requests": 1, "failures": 0, "timed": 1, "p99": 4.0})]
    verdict = judge(TOTAL, [ROW, slow], samples, BOUNDS)
    assert not verdict.held
    assert verdict.notes == [
        "download=/big: a p99 of 4.00 s (the slowest of 10) is over 500 ms",
        "first: download=/big: a p99 of 4.00 s (the slowest of 1) after 3 s, with 30 users",
    ]
    # With a bound of its own the download holds, and the page still has the other one.
    assert judge(TOTAL, [ROW, slow], samples, bounds(download=5.0)).held
    verdict = judge(TOTAL, [ROW | {"p99": 0.7}, slow], samples, bounds(download=5.0))
    assert verdict.notes[0] == "page=/: a p99 of 700 ms is over 500 ms"
    assert verdict.notes[1] == "first: page=/: a p99 of 700 ms after 2 s, with 20 users"


def test_a_server_that_stalls_did_not_hold_whatever_the_percentiles_are() -> None:
    samples = [sample(1), *(sample(at, requests=int(at in (3, 6)) * 100) for at in (2, 3, 4, 5, 6))]
    verdict = judge(TOTAL, [ROW], samples, BOUNDS, asking=["page=/"], slack=1)
    assert (verdict.held, verdict.notes) == (False, ["page=/: no response at all for 2 s, after 3 s"])
    assert judge(TOTAL, [ROW], samples, bounds(page=1.0), asking=["page=/"], slack=1).held
    assert judge(TOTAL, [ROW], samples, BOUNDS, asking=["page=/"], slack=1.5).held
    assert judge(TOTAL, [ROW], samples, BOUNDS).held  # where nobody asks


def test_a_kind_that_is_never_answered_is_not_hidden_by_another() -> None:
    samples = [each | {"by_user": {"page=/": 5, "page=/hangs": 5}} for each in map(sample, (1, 2, 3, 4))]
    verdict = judge(TOTAL, [ROW], samples, BOUNDS, asking=["page=/", "page=/hangs"], slack=1)
    assert verdict.notes == ["page=/hangs: no response at all for 4 s, after 0 s"]


def test_silence_without_users_is_none() -> None:
    samples = [sample(1), *(sample(at, requests=0, users=0) for at in (2, 3, 4)), sample(5)]
    assert judge(TOTAL, [ROW], samples, BOUNDS, asking=["page=/"], slack=1).held


@pytest.mark.parametrize("unanswered, held", [(2, True), (3, False)])
def test_users_without_an_answer_are_more_than_a_few_requests(unanswered: int, held: bool) -> None:
    verdict = judge(TOTAL, [ROW | {"unanswered": unanswered}], [sample(20)], BOUNDS)
    assert verdict.held == held
    assert ("page=/: 3 users had no answer until the test was over" in verdict.notes) != held


def test_of_what_held_the_bad_seconds_are_said() -> None:
    verdict = judge(TOTAL, [ROW], [sample(1), sample(2, p99=3.0)], BOUNDS)
    assert verdict.held
    assert verdict.notes == ["over the bounds in places, first: page=/: a p99 of 3.00 s after 2 s, with 20 users"]


def test_no_request_is_no_verdict() -> None:
    assert not judge(TOTAL | {"requests": 0}, [], [], BOUNDS).held


def test_the_planned_time_ends_within_a_sample() -> None:
    """Samples are a second apart, and late on a busy machine: a test of one second has its first after 1.03 s."""
    assert [each["at"] for each in within([sample(1.03), sample(2.1)], 1)] == [1]
    assert [each["at"] for each in within([sample(1.03), sample(2.1), sample(9)], 2)] == [1.03, 2]
    assert [each["at"] for each in within([sample(1.03)], 5)] == [1.03]
    assert [each["at"] for each in within([sample(1), sample(2)], 1)] == [1]


def test_what_is_answered_after_the_time_may_be_what_broke_first() -> None:
    """On a busy machine the only requests of a test of one second may be counted in its second sample."""
    samples = [sample(1.03, requests=0), sample(2.1, failures=100)]
    verdict = judge(TOTAL, [ROW | {"failures": 1000}], samples, BOUNDS, asking=["page=/"], slack=1, seconds=1)
    assert verdict.notes[-1] == "first: page=/: 100.00% errors after 2 s, with 21 users"
    # Of one that held only the planned time is looked at.
    assert judge(TOTAL, [ROW], samples, BOUNDS, asking=["page=/"], slack=1, seconds=1).notes == []


def test_a_verdict_that_fails_for_another_reason_says_what_was_counted() -> None:
    verdict = Verdict(True, "held: all of it", ["a note"])
    verdict.fail("no verdict: lost")
    assert str(verdict).splitlines() == ["no verdict: lost", "  of what was counted: held: all of it", "  a note"]
    verdict.fail("no verdict: again")
    assert (verdict.held, verdict.notes[-1]) == (False, "no verdict: again")


def test_what_failed_and_what_is_not_known_is_said() -> None:
    verdict = judge(TOTAL, [ROW], [sample(1)], BOUNDS)
    interval = {"user": "push=/push", "method": "INTERVAL", "name": "/push", "requests": 7}
    failed = {"method": "GET", "error": "code=500"}
    errors = [failed | {"name": "/a", "count": 1}, failed | {"name": "/b", "count": 3}]
    explain(verdict, [sample(1)], [], [ROW, interval], errors)
    assert verdict.notes == [
        "GET /b failed 3 times: code=500",
        "GET /a failed once: code=500",
        "push=/push: 7 messages do not say when they were `sent`: their delay is not known",
    ]


@pytest.mark.parametrize("cpu, said", [(0.9, False), (0.91, True)])
def test_a_generator_that_measures_itself_says_so(cpu: float, said: bool) -> None:
    verdict = judge(TOTAL, [ROW], [sample(1)], BOUNDS)
    explain(verdict, [sample(1) | {"generator_cpu": cpu}], [])
    assert ("the load generator used all of its processor" in str(verdict)) == said


def test_a_generator_that_is_full_only_at_the_peak_says_so() -> None:
    verdict = judge(TOTAL, [ROW], [sample(1)], BOUNDS)
    explain(verdict, [*([sample(1)] * 6), *([sample(1) | {"generator_cpu": 0.99}] * 2)], [])
    assert "used all of its processor at times" in str(verdict)


def test_a_late_hub_and_its_blockers_are_named() -> None:
    verdict = judge(TOTAL, [ROW], [sample(1)], BOUNDS)
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
    assert points == [(64, 240), (454, 50), (844, 145)]
    (bound,) = (each for each in root.findall("line") if each.attrib["class"] == "bound")
    assert float(bound.attrib["y1"]) == 145
    assert "a &amp; b" in legend
    assert "empty" not in legend


def test_a_plot_without_data_is_an_empty_plot() -> None:
    assert "<polyline" not in line_plot("Nothing", "ms", [])


def test_totals_of_an_interval() -> None:
    before = Totals(Histogram(), 1.5, 5, 1, 100)
    now = before.copy()
    now.times.add(0.1)
    now.seconds, now.requests, now.failures, now.received = 1.6, 9, 2, 150
    fresh = now - before
    assert (fresh.times.total, fresh.requests, fresh.failures, fresh.received, fresh.error_ratio) == (1, 4, 1, 50, 0.25)
    assert fresh.seconds == pytest.approx(0.1)
    assert before.times.total == 0
    assert Totals().error_ratio == 0
    assert Totals().describe(1)["p99"] is None
