"""The verdicts on targets: met, missed, by how much, and why there is none."""

from __future__ import annotations

import pytest

from loadtests.bench.cases import CASES
from loadtests.bench.cases.case import Case
from loadtests.bench.runner import CaseResult, ServerResult
from loadtests.bench.servers import BY_NAME
from loadtests.bench.targets import judge

CASE = {case.name: case for case in CASES}
HELLO, FLASK, WAITING, IDLE, ECHO = (CASE[name] for name in ("hello", "flask-json", "waiting", "idle", "ws-echo-32"))


def result_of(case: Case, **figures: list[dict[str, float]]) -> CaseResult:
    """A result with these samples; underscores in names stand for spaces."""
    return CaseResult(case, [ServerResult(name.replace("_", " "), list(samples)) for name, samples in figures.items()])


def rates(*values: float) -> list[dict[str, float]]:
    return [{"rate": value} for value in values]


def test_ratios_are_of_medians() -> None:
    result = result_of(HELLO, hublet=rates(90, 110, 500), bjoern=rates(100, 1, 900), gunicorn_gevent=rates(10, 10, 10))
    over_bjoern, over_gunicorn, *_ = judge(result)
    assert over_bjoern.measured == pytest.approx(1.1)
    assert (over_bjoern.met, over_bjoern.text) == (True, "met by 10%")
    assert over_gunicorn.measured == pytest.approx(11)
    assert (over_gunicorn.met, over_gunicorn.text) == (False, "missed by 8%")


def test_our_worker_of_gunicorn_has_targets_of_its_own() -> None:
    result = result_of(HELLO, hublet=rates(100), gunicorn_hublet=rates(89), gunicorn_gevent=rates(8))
    assert [verdict.text for verdict in judge(result)][2:] == ["met by 11%", "missed by 1%"]


def test_a_target_is_met_exactly_at_its_bound() -> None:
    assert judge(result_of(FLASK, hublet=rates(25), gunicorn_gevent=rates(10)))[0].met is True
    assert judge(result_of(FLASK, hublet=rates(24.9), gunicorn_gevent=rates(10)))[0].met is False


def test_absolute_targets_need_no_other_server() -> None:
    (verdict,) = judge(result_of(IDLE, hublet=[{"bytes": 1536.0}]))
    assert (verdict.measured, verdict.met, verdict.text) == (1536.0, True, "met by 0%")
    (verdict,) = judge(result_of(IDLE, hublet=[{"bytes": 3072.0}]))
    assert (verdict.met, verdict.text) == (False, "missed by 100%")


def test_one_error_in_any_round_misses_the_target_of_none() -> None:
    good, bad = {"errors": 0.0, "p99_1": 1.2}, {"errors": 3.0, "p99_1": 1.2}
    assert [v.text for v in judge(result_of(WAITING, hublet=[good, good, good]))] == ["met", "met by 20%"]
    assert [v.text for v in judge(result_of(WAITING, hublet=[good, bad, good]))] == ["missed by 3", "met by 20%"]


def test_failed_rounds_are_told_beside_the_verdict() -> None:
    result = result_of(FLASK, hublet=rates(30, 30), gunicorn_gevent=rates(10, 10, 10))
    result.results[0].failures.append("socket errors")
    assert judge(result)[0].text == "met by 20% (1 of 3 rounds of hublet failed)"


def test_what_could_not_be_measured_says_why() -> None:
    def reason(result: CaseResult) -> str:
        (verdict,) = judge(result)
        assert verdict.measured is None
        assert verdict.met is None
        return verdict.text

    assert reason(CaseResult(FLASK, skipped="no wrk")) == "not measured: the case was skipped"
    assert reason(result_of(FLASK, hublet=rates(1))) == "not measured: gunicorn gevent was not asked for"
    assert reason(result_of(FLASK, hublet=[], gunicorn_gevent=rates(1))) == "not measured: every round of hublet failed"
    missing = result_of(FLASK, hublet=rates(1))
    missing.missing = ["gunicorn gevent"]
    assert reason(missing) == "not measured: gunicorn gevent is not installed"
    nothing = result_of(FLASK, hublet=rates(1), gunicorn_gevent=rates(0))
    assert reason(nothing) == "not measured: the figure to compare with is zero"


def test_each_style_of_hublet_has_targets_of_its_own() -> None:
    def samples(rate: float) -> list[dict[str, float]]:
        return [{"rate": rate, "spread": 2.0}]

    verdicts = judge(result_of(ECHO, hublet_callback=samples(30), hublet_blocking=samples(9), Node_ws=samples(10)))
    assert [verdict.measured for verdict in verdicts] == [3.0, 0.9, 2.0, 2.0]
    assert [verdict.met for verdict in verdicts] == [True, False, True, True]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases_name_servers_that_exist_and_are_able(case: Case) -> None:
    assert all(case.needs in BY_NAME[name].abilities for name in case.servers)
    assert all(target.over is None or target.over in case.servers for target in case.targets)
    assert all(target.subject in (case.subjects or case.servers) for target in case.targets)
    assert case.servers[: len(case.subjects)] == case.subjects
