"""The campaign as a user runs it, in its brief form; and that it finds what it is there to find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.bench.wrk import WrkResult
from loadtests.chaos.report import Campaign, to_markdown
from loadtests.chaos.steps import forbid, summarise
from loadtests.chaos.tally import Failure, Tally

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_nothing_is_lost(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "loadtests.chaos", "--brief", "--output", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    steps = {step["name"]: step for step in json.loads((tmp_path / "chaos.json").read_text())["steps"]}
    for name in ("Reloads", "Terminated workers", "Broken deploy", "Upgrade"):
        assert steps[name]["lost"] == 0
        assert steps[name]["requests"] > 0
    assert steps["Reloads"]["reconnects"] > 0
    assert "| Killed worker | " in (tmp_path / "chaos.md").read_text()


def test_a_lost_request_is_a_violation() -> None:
    failure = Failure("fresh", "ConnectionResetError", 0, 1.0, 1.25)
    outcome = summarise("Reloads", "1 x HUP", Tally(served=9, failed=5, failures=[failure] * 5))
    forbid(outcome, [failure] * 5)
    assert outcome.violations[0] == "fresh, worker unknown: ConnectionResetError after 0.250 s"
    assert outcome.violations[-1] == "and 2 more"
    assert not Campaign("now", "command", {}, [outcome]).is_clean()
    assert "- Reloads: and 2 more" in to_markdown(Campaign("now", "command", {}, [outcome]))


def test_a_tally_survives_its_line() -> None:
    tally = Tally(served=2, latencies=[0.25, 0.5], answers={"1 77": 2})
    tally.fail("slow", "IncompleteReadError", 77, 1.0)
    assert Tally.from_line(tally.to_line()) == tally
    assert (tally.milliseconds(99), tally.versions()) == (500.0, {"1"})


def test_what_wrk_has_lost_is_a_violation() -> None:
    errors = {"connect": 0, "read": 3, "write": 0, "timeout": 0}
    outcome = summarise("Reloads", "1 x HUP", Tally(), WrkResult(requests=10, socket_errors=errors))
    assert (outcome.requests, outcome.lost) == (10, 3)
    assert outcome.violations == ["wrk: socket errors: connect 0, read 3, write 0, timeout 0"]
    assert "| violated |" in to_markdown(Campaign("now", "command", {}, [outcome]))
