"""The `loadtest` fixture: runs the command on loadtests/target.py and reads its report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.integration.served_process import ServedProcess

PATIENCE = 90.0
TARGET = "loadtests.target:app"


class Done:
    """A run of the command that has ended: its status, what it printed, and its report."""

    def __init__(self, status: int, output: str, errors: str, folder: Path) -> None:
        self.status, self.output, self.errors, self.folder = status, output, errors, folder

    @property
    def report(self) -> dict[str, Any]:
        """report.json."""
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return found

    def by_name(self) -> dict[str, dict[str, Any]]:
        """What was counted, by method and name."""
        return {f"{each['method']} {each['name']}": each for each in self.report["requests"]}


Loadtest = Callable[..., Done]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hublet", "loadtest", *arguments]


def module(folder: Path, name: str, text: str) -> str:
    """Write a module, and return the PYTHONPATH on which it is found."""
    (folder / f"{name}.py").write_text(text)
    return f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"


@pytest.fixture
def loadtest(tmp_path: Path) -> Loadtest:
    def run(*arguments: str, **environ: str) -> Done:
        done = subprocess.run(
            command(*arguments, "--out", str(tmp_path / "out"))
            if "--" not in arguments
            else command("--out", str(tmp_path / "out"), *arguments),
            cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr, tmp_path / "out")

    return run


@pytest.fixture
def target(tmp_path: Path) -> Iterator[ServedProcess]:
    """A server of its own, which tells what it does in `statistics.jsonl`."""
    served = ServedProcess(tmp_path, TARGET, "--statistics-file", str(tmp_path / "statistics.jsonl"), "--grace", "2")
    try:
        yield served
        served.stop()
    finally:
        served.kill()
