"""Runs the test-suite that a library's source distribution brings, patched in a greenlet, or plain to compare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
CACHE = ROOT / "build" / "suites"
PATIENCE = 300.0  # seconds
MARK = "outcome: "  # before the JSON: suites print what they like


@dataclass(frozen=True)
class Outcome:
    """How many tests ran, and those that failed though they should not, or passed though they were expected to fail."""

    ran: int
    skipped: int
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """A suite in the source distribution of a version: its package, and tests that are known, with the reason."""

    distribution: str
    version: str
    package: str
    expected: Mapping[str, str]  # come out differently, or fail unpatched too
    excluded: Mapping[str, str]  # cannot be run

    def source(self) -> Path:
        """The unpacked source distribution, downloaded if need be."""
        folder = CACHE / f"{self.distribution}-{self.version}"
        if not folder.exists():
            download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
            what = f"{self.distribution}=={self.version}"
            done = subprocess.run([*download, "--dest", CACHE, what], capture_output=True, text=True)
            assert done.returncode == 0, f"the source distribution of {what} could not be had: {done.stderr}"
            with tarfile.open(CACHE / f"{folder.name}.tar.gz") as archive:
                archive.extractall(CACHE, filter="data")
        return folder

    def run(self, variables: Mapping[str, str], modules: tuple[str, ...] = (), patched: bool = True) -> Outcome:
        """Run the suite, or some of its modules, in a process of its own with these variables."""
        script = Path(__file__).with_name("unittest_in_greenlet.py")
        how = "patched" if patched else "plain"
        command = [sys.executable, str(script), str(self.source()), self.package, how, ",".join(self.excluded)]
        done = subprocess.run(
            [*command, *modules],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=ROOT,
        )
        assert done.returncode == 0, f"the suite did not come to its end: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        (line,) = [each for each in done.stdout.splitlines() if each.startswith(MARK)]
        return Outcome(**json.loads(line.removeprefix(MARK)))

    def unexpected(self, outcome: Outcome) -> dict[str, str]:
        """The failures that nobody has explained."""
        return {name: text for name, text in outcome.failed.items() if name.rpartition(".")[2] not in self.expected}


def report(suite: Suite, run: Callable[[bool], Outcome]) -> int:
    """Run the whole suite, plain if the command line says so, and say what came of it; the exit status is returned."""
    outcome = run("--plain" not in sys.argv[1:])
    sys.stdout.write(f"{outcome.ran} tests ran, {outcome.skipped} were skipped\n")
    for name, text in outcome.failed.items():
        sys.stdout.write(f"{name}: {suite.expected.get(name.rpartition('.')[2]) or text}\n")
    for name, reason in suite.excluded.items():
        sys.stdout.write(f"{name} was left out: {reason}\n")
    return 1 if suite.unexpected(outcome) else 0
