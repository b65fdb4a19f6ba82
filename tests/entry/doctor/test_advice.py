"""A line that blocked gets the remedy of what it calls, or of the libraries that were at work."""

from __future__ import annotations

from pathlib import Path

import pytest
from hublet.doctor.advice import GENERIC, known_modules, names_called, remedy_for, source_text
from hublet.patches.registry import Registry
from hublet.patches.replacement import Patch, Replacement
from hublet.runtime.hub_watch import Blocker, SourceLine

SOURCE = """\
import acme.client as client
from os import system as run
import sqlite3
def view(cursor):
    run("sleep 1")
    client.query(
        sqlite3.connect("x"),
    )
    cursor.execute("SELECT 1")
"""
REGISTRY = Registry(
    (
        Patch("os-system", "it blocks", (Replacement("os:system", "x:y"),), module="os", remedy="start hublet with it"),
        Patch("acme", "waits in C", module="acme", distribution="acme", effect="blocks", remedy="use acme2"),
        Patch("slow", "waits in C", (Replacement("slow:go", "x:y"),), module="slow.core", distribution="slow",
              optional=True),
    ),
    print,
)  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "view.py"
    path.write_text(SOURCE)
    return str(path)


def blocker(*places: SourceLine) -> Blocker:
    return Blocker(places[-1], 1, 0.1, 0.1, places)


def test_names_are_resolved_through_imports(source: str) -> None:
    assert list(names_called(SourceLine(source, 5, "view"))) == ["os.system"]
    assert set(names_called(SourceLine(source, 7, "view"))) == {"acme.client.query", "sqlite3.connect"}
    assert list(names_called(SourceLine(source, 9, "view"))) == ["cursor.execute"]
    assert list(names_called(SourceLine("/no/such/file.py", 9, "view"))) == []


@pytest.mark.parametrize("line, remedy", [(5, "os-system: start hublet with it"), (6, "acme: use acme2"), (9, GENERIC)])
def test_what_the_line_calls(source: str, line: int, remedy: str) -> None:
    assert remedy_for(blocker(SourceLine(source, line, "view")), REGISTRY) == remedy


def test_libraries_on_the_stack(source: str) -> None:
    inner = SourceLine("/venv/lib/python3.11/site-packages/slow/wire.py", 3, "go")
    assert remedy_for(blocker(inner, SourceLine(source, 9, "view")), REGISTRY) == "slow: start with --patch slow"


def test_the_driver_behind_a_cursor_is_one_of_those_that_are_loaded(source: str) -> None:
    assert known_modules(REGISTRY) == ["acme", "slow"]
    where = blocker(SourceLine(source, 9, "view"))
    assert remedy_for(where, REGISTRY, ["acme"]) == "acme: use acme2"
    assert remedy_for(blocker(SourceLine(source, 4, "view")), REGISTRY, ["acme"]) == GENERIC


def test_the_line_is_shown(source: str) -> None:
    assert source_text(SourceLine(source, 9, "view")) == 'cursor.execute("SELECT 1")'
