"""What docs/loadtest.rst shows is what works: its application, its locustfile and its first command are run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hublet.loadtest.plans import SHAPES
from hublet.loadtest.visits import KINDS

DOCS = (Path(__file__).parent.parent / "docs" / "loadtest.rst").read_text(encoding="utf-8")
BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n(?:    :caption: (\S+)\n)?\n((?:    .*\n|\n)+)", re.MULTILINE)
BLOCKS = [
    (language, caption, re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() + "\n")
    for language, caption, block in BLOCK.findall(DOCS)
]
MODULES = {caption: block for language, caption, block in BLOCKS if language == "python"}
COMMANDS = [block for language, _, block in BLOCKS if language == "console"]
PATIENCE = 90.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hublet", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)


def test_the_example_names_the_line_that_computes(folder: Path) -> None:
    command = COMMANDS[0].strip().removeprefix("$ hublet ")
    done = run(folder, *command.split())
    line = 1 + [" json.dumps" in each for each in MODULES["shop.py"].splitlines()].index(True)
    assert f"shop.py:{line} in app blocked the hub" in done.stdout, done.stdout + done.stderr
    assert f"shop.py:{line} in app blocked the hub" in DOCS
    for name in ("report.html", "report.json", "timeline.csv", "requests.csv", "server.jsonl", "server.log"):
        assert f"``{name}``" in DOCS
        assert (folder / "loadtest" / name).stat().st_size > 0


def test_the_locustfile(folder: Path) -> None:
    done = run(folder, "loadtest", "shop:app", "--locustfile", "locustfile.py", "--users", "3", "--time", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((folder / "loadtest" / "report.json").read_text())
    assert {each["name"] for each in report["requests"]} == {"/", "an item"}


def test_every_kind_and_shape_is_described() -> None:
    names = re.findall(r"^``(\w+)``  ", DOCS, re.MULTILINE)
    assert names[: len(KINDS)] == list(KINDS)
    assert sorted(names[len(KINDS) :][: len(SHAPES)]) == sorted(SHAPES)
