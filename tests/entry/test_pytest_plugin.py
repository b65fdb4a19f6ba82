"""The pytest plug-in patches when it is asked, before anything else, and never otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = "from time import sleep\nHOME = sleep.__module__\n"
TEST = """
import sys, time
def test_it():
    home = sys.modules["conftest"].HOME
    assert (home, time.sleep.__module__) == (EXPECTED, EXPECTED)
    assert ("gevent" in sys.modules) == (EXPECTED != "time")
"""


def run_pytest(directory: Path, *options: str, expected: str) -> str:
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_it.py").write_text(f"EXPECTED = {expected!r}\n{TEST}")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *options]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [["--hublet"], ["-p", "hublet"]])
def test_asked(tmp_path: Path, options: list[str]) -> None:
    assert "\nhublet: patched\n" in run_pytest(tmp_path, *options, expected="gevent.hub")


def test_asked_by_the_ini_file(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nhublet_patch = true\n")
    run_pytest(tmp_path, expected="gevent.hub")


def test_not_asked(tmp_path: Path) -> None:
    assert "hublet: patched" not in run_pytest(tmp_path, expected="time")
