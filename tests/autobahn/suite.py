"""Builds the suite, runs its client against a server, and says what is not as it must be."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PREFIX = HERE.parents[1] / "build" / "autobahn"
ALL_CASES = 517
BUILD_SECONDS = 600
RUN_SECONDS = 3600.0
# INFORMATIONAL are the cases that RFC 6455 leaves to the implementation.
ACCEPTED = {"OK", "INFORMATIONAL"}


class SuiteError(Exception):
    """The suite cannot be built or run here; the text has what its script or client said."""


def build_suite(prefix: Path = PREFIX) -> Path:
    """Build the suite unless `prefix` holds a whole one that is newer than its scripts. Raises SuiteError."""
    built = prefix / "built"
    scripts = [HERE / "make_suite.sh", HERE / "patch_suite.py"]
    if built.exists() and built.stat().st_mtime > max(script.stat().st_mtime for script in scripts):
        return prefix
    run = subprocess.run(
        [scripts[0], str(prefix)],
        capture_output=True, text=True, timeout=BUILD_SECONDS, check=False, env=without_python_paths(),
    )  # fmt: skip
    if run.returncode:
        raise SuiteError(f"the Autobahn suite cannot be built:\n{run.stderr.strip() or run.stdout.strip()}")
    return prefix


def without_python_paths() -> dict[str, str]:
    """The environment without what would lead the suite's Python to modules of this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name == "PYTHON"}


@dataclass(frozen=True)
class Report:
    """What a run of the client gave: the cases that were selected and every case's verdict."""

    selected: list[str]
    verdicts: dict[str, dict[str, Any]]
    seconds: float
    aborted: str | None

    def complaints(self) -> list[str]:
        """One line for each case that is not accepted or was not run; empty if all is well."""
        lines = [f"the run was aborted: {self.aborted}"] if self.aborted else []
        lines += [f"{case}: not run" for case in self.selected if case not in self.verdicts]
        for case, verdict in self.verdicts.items():
            if verdict["behavior"] not in ACCEPTED:
                lines.append(f"{case}: {verdict['behavior']}: {verdict['result']}")
            if verdict["close"] not in ACCEPTED:
                lines.append(f"{case}: closing {verdict['close']}: {verdict['result_close']}")
        return lines

    def summary(self) -> str:
        """How many cases had which verdict."""
        counts = Counter(verdict["behavior"] for verdict in self.verdicts.values())
        shown = ", ".join(f"{count} {behavior}" for behavior, count in counts.most_common())
        return f"{len(self.verdicts)} of {len(self.selected)} cases in {self.seconds:.0f} s: {shown}"


def run_suite(url: str, *, count: int | None = None, cases: Sequence[str] = ("*",), prefix: Path = PREFIX) -> Report:
    """Run the cases against the echo server at `url`. Raises SuiteError if the client itself fails.

    `count` is the number of messages of each case of sections 12 and 13, upstream's 1,000 where it is None.
    """
    with tempfile.TemporaryDirectory(prefix="autobahn-") as reports:
        command = [
            str(prefix / "venv" / "bin" / "python"), "-W", "ignore", str(HERE / "client.py"), "--url", url,
            "--reports", reports, "--seconds", str(RUN_SECONDS), "--cases", *cases,
        ]  # fmt: skip
        if count is not None:
            command += ["--count", str(count)]
        run = subprocess.run(
            command, capture_output=True, text=True, check=False,
            env={**without_python_paths(), "PYTHONPATH": str(prefix / "lib")},
        )  # fmt: skip
    if run.returncode:
        raise SuiteError(f"the Autobahn client failed: {run.stderr.strip()}")
    return Report(**json.loads(run.stdout))
