"""The report: what a reader finds in the Markdown and a program in the JSON."""

from __future__ import annotations

import json
from pathlib import Path

from loadtests.bench.cases import CASES
from loadtests.bench.report import Run, table, to_json, to_markdown, write_report
from loadtests.bench.runner import CaseResult, ServerResult
from loadtests.bench.stats import Sample

HELLO, BROWSER, FLASK, *_ = CASES
DEFLATED = next(case for case in CASES if case.name == "ws-deflate")


def sample(rate: float) -> Sample:
    return {"rate": rate, "p50_ms": 0.5, "p99_ms": 1.25}


def make_run(*results: CaseResult) -> Run:
    return Run(
        date="2026-01-02 03:04 UTC", command="python -m loadtests.bench --rounds 3", rounds=3, seconds=4,
        machine={"processor": "A processor"}, versions={"bjoern": "bjoern 3.2.2", "fastwsgi": "not installed"},
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
    assert "| hublet | 1,200 | 0.50 | 1.25 |  | 0 |" in lines
    assert "| bjoern | 1,000 | 0.50 | 1.25 | 1.20 x | 0 |" in lines
    assert "| granian | 600 | 0.50 | 1.25 | 2.00 x | 2 of 3 |" in lines
    assert "| uvicorn |  |  |  |  | 3 of 3 |" in lines


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
    assert "3 rounds of 4 s" in text
    assert "| processor | A processor |" in text
    assert "| fastwsgi | not installed |" in text


def test_a_skipped_case_says_why_in_place_of_a_table() -> None:
    text = to_markdown(make_run(CaseResult(FLASK, skipped="wrk is not installed")))
    assert "**Skipped:** wrk is not installed." in text
    assert "| Server |" not in text


def test_without_hublet_there_are_figures_but_no_ratios() -> None:
    text = to_markdown(make_run(CaseResult(BROWSER, [ServerResult("bjoern", [sample(10)])])))
    assert "| bjoern | 10 | 0.50 | 1.25 |  | 0 |" in text


def test_a_case_with_two_styles_of_hublet_has_a_ratio_to_each() -> None:
    figures = {"megabytes": 1.0, "p50_ms": 1.0, "p99_ms": 2.0, "spread": 2.0, "client_cpu": 0.5}
    results = [
        ServerResult(name, [{"rate": rate, **figures}])
        for name, rate in (("hublet callback", 300.0), ("hublet blocking", 200.0), ("websockets", 100.0))
    ]
    lines = to_markdown(make_run(CaseResult(DEFLATED, results))).splitlines()
    assert "p99 / p50 | hublet callback is | hublet blocking is | Failed rounds |" in "".join(lines)
    assert "| hublet blocking | 200 | 1.0 | 1.00 | 2.00 | 2.00 | 1.50 x |  | 0 |" in lines
    assert "| websockets | 100 | 1.0 | 1.00 | 2.00 | 2.00 | 3.00 x | 2.00 x | 0 |" in lines


def test_bars_in_cells_do_not_break_a_table() -> None:
    assert table(("a",), [("b | c",)]) == "| a |\n| --- |\n| b \\| c |"


def test_json_holds_every_round_and_every_verdict() -> None:
    found = to_json(make_run(hello_result()))
    servers = found["cases"]["hello"]["servers"]
    assert servers["hublet"]["summary"]["rate"] == 1200
    assert [figures["rate"] for figures in servers["hublet"]["rounds"]] == [1000, 1200, 1400]
    assert servers["granian"]["failures"] == ["socket errors: read 1", "a | b"]
    assert found["cases"]["hello"]["missing"] == ["fastwsgi"]
    assert [(target["measured"], target["met"]) for target in found["targets"]] == [(1.2, True), (None, None)]


def test_both_files_are_written_and_the_json_can_be_read_back(tmp_path: Path) -> None:
    run = make_run(hello_result())
    markdown, json_file = write_report(run, tmp_path / "new")
    assert markdown.read_text() == to_markdown(run)
    assert json.loads(json_file.read_text()) == json.loads(json.dumps(to_json(run)))
