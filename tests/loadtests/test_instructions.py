"""The check of instructions: its comparison, the environments, and one real count under callgrind."""

from __future__ import annotations

import json
from contextlib import nullcontext
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
    entry_of,
    read_entries,
    record_counts,
    reference_of,
    without_recorded_growth,
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


def test_a_trace_that_is_gone_fails() -> None:
    gone = compare({"hello": 10, "post": 5}, {"hello": 10})[-1]
    assert (gone.trace, gone.passed) == ("post", False)
    assert str(gone) == "post: no longer measured, 5 instructions before: FAILED"


def counts_of(environment: dict[str, str], path: Path) -> list[dict[str, int]]:
    """All counts that were recorded of an environment."""
    entry = entry_of(environment, path)
    return [record["instructions"] for record in entry["records"]] if entry else []


def test_each_environment_has_counts_of_its_own_and_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert entry_of(HERE, path) is None
    record_counts(HERE, {"hello": 1}, path=path)
    record_counts(THERE, {"hello": 2}, path=path)
    record_counts(HERE, {"hello": 3}, path=path)
    assert counts_of(HERE, path) == [{"hello": 1}, {"hello": 3}]
    assert counts_of(THERE, path) == [{"hello": 2}]
    assert read_entries(path)[-1]["environment"] == HERE
    assert differences({"python": "3.13", "gevent": "26.9"}, path) == [
        "python 3.12 there, 3.13 here", "python 3.11 there, 3.13 here",
    ]  # fmt: skip


def records(*counts: dict[str, int], accepted: int | None = None) -> dict[str, object]:
    """An entry with these counts, of which one was accepted."""
    made: list[dict[str, object]] = [{"instructions": each} for each in counts]
    if accepted is not None:
        made[accepted]["accepted"] = "worth it"
    return {"environment": HERE, "records": made}


def test_the_reference_is_the_least_since_a_growth_was_accepted() -> None:
    rising = ({"hello": 100, "post": 90}, {"hello": 102}, {"hello": 104, "post": 80})
    assert reference_of(records(*rising)) == {"hello": 100, "post": 80}
    assert reference_of(records(*rising, accepted=1)) == {"hello": 102, "post": 80}
    assert reference_of(records(*rising, accepted=2)) == {"hello": 104, "post": 80}


def test_elsewhere_the_growth_that_was_recorded_is_taken_off() -> None:
    entry = records({"hello": 100, "post": 50}, {"hello": 104, "post": 40})
    measured = {"hello": 2080, "post": 900, "new": 7}
    assert without_recorded_growth(measured, entry) == {"hello": 2000, "post": 900, "new": 7}


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, counts: dict[str, int], *arguments: str) -> int:
    """Run the command with a baseline of its own and counts that are given."""
    path = tmp_path / "baseline.json"
    if not path.exists():
        record_counts(describe_environment(), {"hello": 1000}, path=path)
    monkeypatch.setattr(command, "entry_of", lambda environment: entry_of(environment, path))
    monkeypatch.setattr(command, "read_entries", lambda: read_entries(path))
    monkeypatch.setattr(command, "record_counts", lambda here, new, why: record_counts(here, new, why, path))
    monkeypatch.setattr(command, "differences", lambda environment: differences(environment, path))
    monkeypatch.setattr(command, "measure", lambda package=None: counts if package is None else {"hello": 1020})
    return command.main(arguments)


def test_small_growths_do_not_add_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "baseline.json"
    assert run(monkeypatch, tmp_path, {"hello": 1020}, "--update") == 0
    assert run(monkeypatch, tmp_path, {"hello": 1030}) == 0
    assert run(monkeypatch, tmp_path, {"hello": 1040}) == 1
    assert run(monkeypatch, tmp_path, {"hello": 1040}, "--update") == 1
    assert counts_of(describe_environment(), path) == [{"hello": 1000}, {"hello": 1020}]
    assert "Not recorded. If it is worth it, record it with the reason: --accept REASON" in capsys.readouterr().out
    assert run(monkeypatch, tmp_path, {"hello": 1040}, "--accept", " ") == 2
    assert run(monkeypatch, tmp_path, {"hello": 1040}, "--accept", "stricter parsing") == 0
    assert "in 3 records" not in capsys.readouterr().out
    assert run(monkeypatch, tmp_path, {"hello": 1071}) == 0
    assert run(monkeypatch, tmp_path, {"hello": 1072}) == 1
    assert "in 3 records" in capsys.readouterr().out
    assert json.loads(path.read_text())[0]["records"][-1]["accepted"] == "stricter parsing"


def test_a_trace_that_is_gone_is_not_recorded_unless_it_is_accepted_and_a_new_one_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(monkeypatch, tmp_path, {}) == 1
    assert run(monkeypatch, tmp_path, {"post": 5}, "--update") == 1
    assert run(monkeypatch, tmp_path, {"hello": 1000, "post": 5}) == 1
    assert run(monkeypatch, tmp_path, {"hello": 1000, "post": 5}, "--update") == 0
    assert run(monkeypatch, tmp_path, {"post": 5}, "--accept", "nobody sends it") == 0
    assert run(monkeypatch, tmp_path, {"post": 5}) == 0


def test_growth_that_was_recorded_elsewhere_counts_in_another_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    record_counts(THERE, {"hello": 1000}, path=path)
    record_counts(THERE, {"hello": 1020}, path=path)
    monkeypatch.setattr(command, "revision_of", lambda path: "rev")
    monkeypatch.setattr(command, "built", lambda revision: nullcontext(tmp_path))
    assert run(monkeypatch, tmp_path, {"hello": 1030}) == 0  # the revision itself has 1,020
    assert run(monkeypatch, tmp_path, {"hello": 1031}) == 1


def test_the_status_tells_growth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, {"hello": 1029}) == 0
    assert run(monkeypatch, tmp_path, {"hello": 1031}) == 1


def test_another_environment_is_said_and_never_passes_silently(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "baseline.json").write_text(json.dumps([records({"hello": 1000}) | {"environment": THERE}]))

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
