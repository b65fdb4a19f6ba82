"""The fuzz target: a short run with a fixed seed, everything that longer runs have found, and its own parts."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.corpus import FOUND, load
from tests.fuzz.heads import CHECKS, run
from tests.fuzz.search import Finding, problem_of, read_findings, shrink, write_finding


def test_short_run() -> None:
    report = run(seconds=5, seed=1)
    assert report.findings == []
    assert report.tried > 1000


def test_what_was_found_before() -> None:
    for finding in read_findings(FOUND):
        for seed in range(20):
            assert problem_of(CHECKS[finding.check], finding.data, seed) == "", finding


def test_the_corpus_holds_the_invariants() -> None:
    for case in load():
        for seed in range(3):
            assert problem_of(CHECKS["message"], case.request, seed) == "", case.id


def find_zero_before_one(data: bytes, random: Random) -> None:
    """A check with a bug to find: it fails where a 0 stands somewhere before a 1."""
    assert b"1" not in data.partition(b"0")[2], f"found, and chose {random.randrange(10)}"


def test_problems_are_reported_and_repeated() -> None:
    problem = problem_of(find_zero_before_one, b"0 and 1", 7)
    assert problem.startswith("AssertionError: found")
    assert problem_of(find_zero_before_one, b"0 and 1", 7) == problem
    assert problem_of(find_zero_before_one, b"1 and 0", 7) == ""


def test_findings_are_made_smaller() -> None:
    assert shrink(find_zero_before_one, b"a long story 0 of many \r\n words, 1 bug, the end", 7) == b"01"


def test_findings_are_written_and_read(tmp_path: Path) -> None:
    finding = Finding("message", b"GET / '* HTTP/1.1 \r\n\0\xff\\ {a * 3}\n", "AssertionError: \u00e9 and 'more'")
    path = write_finding(finding, tmp_path)
    assert path.name.startswith("message-")
    assert [(each.check, each.data) for each in read_findings(tmp_path)] == [(finding.check, finding.data)]
