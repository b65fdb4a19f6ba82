"""The check of instructions: its comparison, the environments, and one real count under callgrind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.bench.errors import RoundFailed, UsageError
from loadtests.instructions import __main__ as command
from loadtests.instructions import measure, revision
from loadtests.instructions.baseline import (
    Comparison,
    compare,
    describe_environment,
    differences,
    read_baseline,
    write_baseline,
)  # fmt: skip
from loadtests.instructions.traces import TRACES

HERE = {"python": "3.11", "gevent": "26.9"}
THERE = {"python": "3.12", "gevent": "26.9"}


@pytest.mark.parametrize(
    ("now", "passed"), [(90_000, True), (102_900, True), (103_000, True), (103_001, False), (103_100, False)]
)
def test_growth_of_three_percent_passes_and_more_fails(now: int, passed: bool) -> None:
    comparison = Comparison("hello", 100_000, now)
    assert comparison.passed is passed
    assert ("FAILED" in str(comparison)) is not passed


def test_the_line_tells_the_growth() -> None:
    assert str(Comparison("hello", 100_000, 103_100)) == (
        "hello: 103,100 instructions, +3.10% against 100,000: FAILED: more than 3 %"
    )


def test_a_trace_that_the_baseline_lacks_fails() -> None:
    known, unknown = compare({"hello": 10}, {"hello": 10, "post": 5})
    assert known.passed
    assert not unknown.passed


def test_each_environment_has_counts_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert read_baseline(HERE, path) is None
    write_baseline(HERE, {"hello": 1}, path)
    write_baseline(THERE, {"hello": 2}, path)
    write_baseline(HERE, {"hello": 3}, path)
    assert [read_baseline(environment, path) for environment in (HERE, THERE)] == [{"hello": 3}, {"hello": 2}]
    assert differences({"python": "3.13", "gevent": "26.9"}, path) == [
        "python 3.12 there, 3.13 here", "python 3.11 there, 3.13 here",
    ]  # fmt: skip


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, counts: dict[str, int], *arguments: str) -> int:
    """Run the command with a baseline of its own and counts that are given."""
    path = tmp_path / "baseline.json"
    if not path.exists():
        write_baseline(describe_environment(), {"hello": 1000}, path)
    monkeypatch.setattr(command, "read_baseline", lambda environment: read_baseline(environment, path))
    monkeypatch.setattr(command, "differences", lambda environment: differences(environment, path))
    monkeypatch.setattr(command, "measure", lambda package=None: counts)
    return command.main(arguments)


def test_the_status_tells_growth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, {"hello": 1029}) == 0
    assert run(monkeypatch, tmp_path, {"hello": 1031}) == 1


def test_another_environment_is_said_and_never_passes_silently(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "baseline.json").write_text(json.dumps([{"environment": THERE, "instructions": {"hello": 1000}}]))

    def refuse(path: Path) -> str:
        raise UsageError("this clone is shallow")

    monkeypatch.setattr(command, "revision_of", refuse)
    assert run(monkeypatch, tmp_path, {"hello": 1000}) == 2
    shown = capsys.readouterr().out
    assert "THE BASELINE IS OF ANOTHER ENVIRONMENT" in shown
    assert "python 3.12 there, CPython" in shown
    assert "this clone is shallow. Otherwise compare with a revision by --revision REV" in shown


def test_an_unknown_revision_cannot_be_built() -> None:
    with pytest.raises(UsageError, match="git rev-parse"), revision.built("no-such-revision"):
        pytest.fail("the block ran")


def test_a_missing_valgrind_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "VALGRIND", "no-such-valgrind")
    with pytest.raises(RoundFailed, match="apt-get install valgrind"):
        measure.measure()


def test_a_revision_is_never_compared_with_itself(tmp_path: Path) -> None:
    with pytest.raises(RoundFailed, match="would be counted, but "):
        measure.require_imported(tmp_path)
    (tmp_path / "hublet").mkdir()
    (tmp_path / "hublet" / "__init__.py").touch()
    measure.require_imported(tmp_path)


def test_requests_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WARM_UP": 50, "SHORT": 20, "LONG": 120, "PAIRS": 3}.items():
        monkeypatch.setattr(measure, name, value)
    counts = measure.measure()
    assert list(counts) == [trace.name for trace in TRACES]
    assert counts["hello"] * 1.2 < counts["browser"]  # twelve header fields more
    assert counts["hello"] < counts["post"] < 2 * counts["hello"]
    assert all(1000 < count < 1_000_000 for count in counts.values())
