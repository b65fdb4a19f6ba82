"""The harness itself: which verdicts it lets pass, and how it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.autobahn import suite
from tests.autobahn.suite import Report, SuiteError, build_suite, run_suite


def report(behavior: str = "OK", close: str = "OK", aborted: str | None = None) -> Report:
    verdict = {"behavior": behavior, "close": close, "result": "as seen", "result_close": "as closed"}
    return Report(["1.1.1", "1.1.2"], {"1.1.1": {**verdict}, "1.1.2": {**verdict}}, 1.0, aborted)


@pytest.mark.parametrize("behavior", ["OK", "INFORMATIONAL"])
def test_these_verdicts_pass(behavior: str) -> None:
    assert report(behavior, close=behavior).complaints() == []


@pytest.mark.parametrize("behavior", ["FAILED", "NON-STRICT", "UNIMPLEMENTED", "UNCLEAN", "WRONG CODE"])
def test_all_others_do_not(behavior: str) -> None:
    assert report(behavior).complaints()[0] == f"1.1.1: {behavior}: as seen"
    assert report(close=behavior).complaints()[0] == f"1.1.1: closing {behavior}: as closed"


def test_cases_that_were_not_run_and_an_abort_are_complaints() -> None:
    found = report(aborted="refused, at case 1.1.2")
    del found.verdicts["1.1.2"]
    assert found.complaints() == ["the run was aborted: refused, at case 1.1.2", "1.1.2: not run"]
    assert found.summary() == "1 of 2 cases in 1 s: 1 OK"


def test_a_suite_that_cannot_be_built_is_an_error_with_the_script_s_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "make_suite.sh"
    script.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    script.chmod(0o755)
    (tmp_path / "patch_suite.py").touch()
    monkeypatch.setattr(suite, "HERE", tmp_path)
    with pytest.raises(SuiteError, match="cannot be built:\nno network"):
        build_suite(tmp_path / "prefix")


def test_a_client_that_cannot_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="the Autobahn client failed"):
        run_suite("no url", cases=["1.1.1"], prefix=build_suite())
