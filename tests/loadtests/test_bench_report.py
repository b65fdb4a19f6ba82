"""The report: what a reader finds in the Markdown and a program in the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from loadtests.bench import report
from loadtests.bench.__main__ import is_good
from loadtests.bench.cases import CASES
from loadtests.bench.cases.case import Case
from loadtests.bench.charts import write_charts
from loadtests.bench.ranking import in_order, not_first, primary_form
from loadtests.bench.report import Run, table, to_json, to_markdown, write_report
from loadtests.bench.runner import CaseResult, ServerResult
from loadtests.bench.stats import Sample

HELLO, BROWSER, FLASK, *_ = CASES
DEFLATED = next(case for case in CASES if case.name == "ws-deflate")


def sample(rate: float) -> Sample:
    return {"rate": rate, "p50_ms": 0.5, "p99_ms": 1.25}


def make_run(*results: CaseResult) -> Run:
    return Run(
        date="2026-01-02 03:04 UTC", command="python -m loadtests.bench --rounds 3", rounds=3, seconds=4, seed=7,
        machine={"processor": "A processor"}, versions={"bjoern": "bjoern 3.2.2", "fastwsgi": "not installed"},
        commands={"bjoern": "`$peers -c bjoern`"},
        results=results,
    )  # fmt: skip


def hello_result() -> CaseResult:
    return CaseResult(
        HELLO,
        [
            ServerResult("hublet", [sample(1000), sample(1200), sample(1400)]),
            ServerResult("bjoern", [sample(1000), sample(1000), sample(1000)]),
            ServerResult("granian", [sample(600)], ["socket errors: read 1", "a | b"]),
            ServerResult("uvicorn", [], ["no answer", "no answer", "no answer"]),
        ],
        missing=["fastwsgi"],
    )


def test_markdown_has_a_row_for_each_server() -> None:
    lines = to_markdown(make_run(hello_result())).splitlines()
    assert "| 1 | hublet | 1,200 | 0.50 | 1.25 | 1,000 to 1,400 |  |  | 0 | 3 |" in lines
    assert "| 2 | bjoern | 1,000 | 0.50 | 1.25 | 1,000 to 1,000 | 1.20 x |  | 0 | 3 |" in lines
    assert "| not ranked | uvicorn |  |  |  |  |  |  | 0 | 3 of 3 failed |" in lines


def test_what_the_others_cannot_do_is_no_failure_of_the_run() -> None:
    others = hello_result()
    assert is_good(others)
    others.results[0].failures.append("no answer")
    assert not is_good(others)
    assert not is_good(CaseResult(HELLO, skipped="no wrk"))


def test_figures_are_kept_where_plots_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(results: list[CaseResult], directory: Path) -> dict[str, Path]:
        raise ValueError("no font")

    monkeypatch.setattr(report, "write_charts", fail)
    with pytest.raises(ValueError, match="no font"):
        write_report(make_run(hello_result()), tmp_path)
    assert json.loads((tmp_path / "benchmarks.json").read_text())["cases"]["hello"]["servers"]["bjoern"]["rounds"]


def test_a_server_that_drops_requests_is_not_ranked_however_fast() -> None:
    result = hello_result()
    result.results.append(ServerResult("cheroot", [sample(9000)], ["socket errors: read 7"], errors=7))
    text = to_markdown(make_run(result))
    assert "| not ranked | cheroot | 9,000 | 0.50 | 1.25 | one round |  |  | 7 | 1 of 2 failed |" in text.splitlines()
    assert text.index("| 2 | bjoern") < text.index("| not ranked | granian") < text.index("| not ranked | cheroot")
    assert "Nowhere in this run." in text


def test_the_first_lines_count_what_was_won_and_missed() -> None:
    results = [ServerResult("hublet", [sample(1000)]), ServerResult("gunicorn gevent", [sample(600)])]
    lost = CaseResult(BROWSER, [ServerResult("hublet", [sample(1000)]), ServerResult("bjoern", [sample(2000)])])
    text = to_markdown(make_run(CaseResult(FLASK, results), lost))
    assert "hublet is first in 1 of 2 cases, in every style of it that takes part, and misses 2 of 2 targets" in text
    assert "| Flask JSON, over gunicorn gevent | at least 2.5 x | 1.667 x | **missed by 33%** |" in text.splitlines()


def test_where_hublet_loses_the_report_says_to_whom_and_by_how_much() -> None:
    result = CaseResult(
        HELLO,
        [
            ServerResult("hublet", [sample(900), sample(1000), sample(1100)]),
            ServerResult("bjoern", [sample(1250), sample(1250), sample(1250)]),
            ServerResult("fastwsgi", [sample(1050), sample(1050), sample(1050)]),
            ServerResult("granian", [sample(500)]),
        ],
    )
    loss = not_first(result)
    assert loss == (
        "**Hello, World!**: bjoern has 1,250 against 1,000, hublet is 0.80 x as good; "
        "fastwsgi has 1,050 against 1,000, hublet is 0.95 x as good (their rounds overlap)"
    )
    text = to_markdown(make_run(result))
    assert f"## Where hublet is not first\n\n- {loss}\n\n## Targets" in text


def test_a_hublet_that_drops_requests_is_said_not_to_be_ranked() -> None:
    result = CaseResult(
        HELLO, [ServerResult("hublet", [sample(9)], ["read 3"], 3), ServerResult("bjoern", [sample(1)])]
    )
    assert not_first(result) == "**Hello, World!**: hublet is not ranked: read 3"


def test_each_style_of_hublet_is_held_against_the_others() -> None:
    figures = {"megabytes": 1.0, "p50_ms": 1.0, "p99_ms": 2.0, "spread": 2.0, "client_cpu": 0.5}
    rates = {"hublet callback": 90.0, "hublet blocking": 300.0, "websockets": 100.0}
    result = CaseResult(DEFLATED, [ServerResult(name, [{"rate": rate, **figures}]) for name, rate in rates.items()])
    assert not_first(result) == (
        f"**{DEFLATED.title}**: websockets has 100 against 90, hublet callback is 0.90 x as good"
    )


def test_what_takes_longer_with_hublet_than_without_is_said_among_the_losses() -> None:
    case = next(case for case in CASES if case.name == "library-costs")
    times = {"redis": 0.9, "psycopg2": 1.5, "sqlite3": 3.0}
    result = CaseResult(case, [ServerResult(name, [{"times": each}]) for name, each in times.items()])
    assert not_first(result) == (
        f"**{case.title}**: hublet takes more time than plain Python: 3.00 x with sqlite3, 1.50 x with psycopg2"
    )


def test_less_is_better_where_the_case_says_so() -> None:
    idle = next(case for case in CASES if case.name == "idle")
    figures = {"connections": 10.0, "before_mib": 1.0, "during_mib": 2.0}
    results = [
        ServerResult(name, [{"bytes": size, **figures}]) for name, size in (("bjoern", 500.0), ("hublet", 400.0))
    ]
    assert [outcome.server for outcome in in_order(CaseResult(idle, results))] == ["hublet", "bjoern"]
    assert not_first(CaseResult(idle, results)) is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_shows_its_primary_figure(case: Case) -> None:
    assert primary_form(case).startswith("{" + case.primary)


def test_markdown_names_what_is_missing_and_what_failed() -> None:
    text = to_markdown(make_run(hello_result()))
    assert "Not installed, so not compared: fastwsgi." in text
    assert "- granian: socket errors: read 1\n- granian: a | b\n- uvicorn: no answer\n" in text
    assert text.count("no answer") == 1


def test_markdown_prints_targets_beside_what_was_measured() -> None:
    lines = to_markdown(make_run(hello_result())).splitlines()
    assert "| Hello, World!, over bjoern | at least 1 x | 1.2 x | met by 20% |" in lines
    assert (
        "| Hello, World!, over gunicorn gevent | at least 12 x |  | not measured: gunicorn gevent was not asked for |"
        in lines
    )


def test_markdown_tells_how_where_and_when_it_was_run() -> None:
    text = to_markdown(make_run(hello_result()))
    assert "`python -m loadtests.bench --rounds 3` on 2026-01-02 03:04 UTC" in text
    assert "at most 3 rounds of 4 s" in text
    assert "(`--seed 7`)" in text
    assert "| processor | A processor |" in text
    assert "| bjoern | bjoern 3.2.2 | `$peers -c bjoern` |" in text
    assert "| fastwsgi | not installed |  |" in text


def test_a_skipped_case_says_why_in_place_of_a_table() -> None:
    text = to_markdown(make_run(CaseResult(FLASK, skipped="wrk is not installed")))
    assert "**Skipped:** wrk is not installed." in text
    assert "| Server |" not in text


def test_without_hublet_there_are_figures_but_no_ratios() -> None:
    text = to_markdown(make_run(CaseResult(BROWSER, [ServerResult("bjoern", [sample(10)])])))
    assert "| 1 | bjoern | 10 | 0.50 | 1.25 | one round |  | 0 | 1 |" in text


def test_a_case_with_two_styles_of_hublet_has_a_ratio_to_each() -> None:
    figures = {"megabytes": 1.0, "p50_ms": 1.0, "p99_ms": 2.0, "spread": 2.0, "client_cpu": 0.5}
    results = [
        ServerResult(name, [{"rate": rate, **figures}])
        for name, rate in (("hublet callback", 300.0), ("hublet blocking", 200.0), ("websockets", 100.0))
    ]
    lines = to_markdown(make_run(CaseResult(DEFLATED, results))).splitlines()
    assert "p99 / p50 | least to greatest | hublet callback is | hublet blocking is | Errors | Rounds |" in "".join(
        lines
    )
    assert "| 2 | hublet blocking | 200 | 1.0 | 1.00 | 2.00 | 2.00 | one round | 1.50 x |  | 0 | 1 |" in lines
    assert "| 3 | websockets | 100 | 1.0 | 1.00 | 2.00 | 2.00 | one round | 3.00 x | 2.00 x | 0 | 1 |" in lines


def test_bars_in_cells_do_not_break_a_table() -> None:
    assert table(("a",), [("b | c",)]) == "| a |\n| --- |\n| b \\| c |"


def test_json_holds_every_round_and_every_verdict() -> None:
    found = to_json(make_run(hello_result()))
    servers = found["cases"]["hello"]["servers"]
    assert servers["hublet"]["summary"]["rate"] == 1200
    assert [figures["rate"] for figures in servers["hublet"]["rounds"]] == [1000, 1200, 1400]
    assert servers["granian"]["failures"] == ["socket errors: read 1", "a | b"]
    assert found["cases"]["hello"]["missing"] == ["fastwsgi"]
    assert [(target["measured"], target["met"]) for target in found["targets"]][:2] == [(1.2, True), (None, None)]


def test_both_files_are_written_and_the_json_can_be_read_back(tmp_path: Path) -> None:
    run = make_run(hello_result())
    markdown, json_file, chart = write_report(run, tmp_path / "new")
    assert markdown.read_text() == to_markdown(run, {"hello": "benchmarks/hello.svg"})
    assert "![Hello, World!](benchmarks/hello.svg)" in markdown.read_text()
    assert chart == tmp_path / "new" / "benchmarks" / "hello.svg"
    before = chart.read_bytes()
    write_report(run, tmp_path / "new")
    assert chart.read_bytes() == before
    assert json.loads(json_file.read_text()) == json.loads(json.dumps(to_json(run)))


def texts_of(chart: Path) -> str:
    """The words in a plot."""
    root = ElementTree.fromstring(chart.read_text())
    return " ".join(text for element in root.iter("{http://www.w3.org/2000/svg}text") for text in element.itertext())


def test_bars_name_every_server_and_say_which_is_not_ranked(tmp_path: Path) -> None:
    (chart,) = write_charts([hello_result(), CaseResult(FLASK, skipped="no wrk")], tmp_path).values()
    words = texts_of(chart)
    assert all(name in words for name in ("hublet", "bjoern", "granian", "uvicorn", "req/s, more is better"))
    assert words.count("not ranked") == 2


def test_curves_have_a_line_for_each_server_in_each_plot(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "growth-in-flight")
    assert case.curves is not None
    points, headings = case.curves
    figures = {f"{name}_{point}": float(point) for name in headings for point in points}
    result = CaseResult(case, [ServerResult(name, [figures]) for name in ("hublet", "gevent.pywsgi")])
    words = texts_of(write_charts([result], tmp_path)["growth-in-flight"])
    assert words.count("hublet") == words.count("gevent.pywsgi") == 4
    assert all(heading in words for heading in headings.values())
    assert "without a curve" not in words


def test_plot_and_table_of_curves_name_the_servers_that_have_none(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "growth-in-flight")
    assert case.curves is not None
    points, headings = case.curves
    figures = {f"{name}_{point}": float(point) for name in headings for point in points}
    failed = ServerResult("gunicorn gevent", [figures], ["read 3"])
    result = CaseResult(case, [ServerResult("hublet", [figures]), failed], missing=["gevent.pywsgi"])
    words = texts_of(write_charts([result], tmp_path)["growth-in-flight"])
    assert "not ranked, so without a curve: gunicorn gevent, gevent.pywsgi" in words
    text = to_markdown(make_run(result), {case.name: "plot.svg"})
    assert "Without a curve, since not ranked: gunicorn gevent, gevent.pywsgi." in text


def test_figures_side_by_side_are_named_and_so_is_what_failed(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "library-costs")
    figures = {"plain_us": 40.0, "gevent_us": 50.0, "hublet_us": 60.0, "at_once_us": 30.0, "times": 1.5}
    result = CaseResult(case, [ServerResult("psycopg2", [figures]), ServerResult("redis", [], ["no answer"])])
    words = texts_of(write_charts([result], tmp_path)["library-costs"])
    assert all(name in words for name in ("psycopg2", "plain Python", "gevent", "hublet", "hublet, 20 at once", "µs"))
    assert "failed or not installed: redis" in words
    assert "| 1 | psycopg2 | 40.0 | 50.0 | 60.0 | 30.0 | 1.50 x | one round | 0 | 1 |" in to_markdown(make_run(result))


@pytest.mark.parametrize("failures", [[], ["no answer"]])
def test_curves_without_anything_above_zero_are_no_obstacle(tmp_path: Path, failures: list[str]) -> None:
    case = next(case for case in CASES if case.name == "growth-in-flight")
    assert case.curves is not None
    points, headings = case.curves
    nothing = {f"{name}_{point}": 0.0 for point in points for name in headings}
    result = CaseResult(case, [ServerResult(name, [nothing], failures) for name in case.servers])
    assert write_charts([result], tmp_path)[case.name].stat().st_size > 1000
