"""The import that was too early is named by file and line, and so is the one that led to it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest
from hublet.patches.captures import Capture
from hublet.patches.early_imports import Place, explain, imports_of, place_of_capture

from tests.patches.test_captures import run_python

SOURCE = """\
import time
from threading import Lock as Mutex

def wait(seconds, sleep=time.sleep): pass
mutex = Mutex()
nothing: int = 0
"""


def test_the_import_of_the_name_is_the_line_named(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text("import os\n\nfrom time import sleep\nFROZEN = (sleep,)\n")
    (tmp_path / "middle.py").write_text("import json\nimport driver\n")
    script = "import json\nimport middle\nimport driver\nimport hublet\nprint(json.dumps(hublet.patch_all()))\n"
    (problem,) = run_python(tmp_path, script)
    assert problem.partition("; ")[0] == (
        f"driver.FROZEN[0] (item) holds the unpatched time.sleep ({tmp_path}/driver.py:3), "
        f"imported too early by {tmp_path}/middle.py:2: its sleeps stop every request"
    )


@pytest.mark.parametrize(
    "path, original, line",
    [
        ("Mutex", "_thread.allocate_lock", 2),
        ("wait", "time.sleep", 4),
        ("mutex", "_thread.lock", 5),
        ("nothing[0]", "socket.socket", 6),
        ("gone", "socket.socket", None),
    ],
)
def test_the_nearest_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, original: str, line: int | None
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "nearest_driver.py").write_text(SOURCE)
    monkeypatch.delitem(sys.modules, "nearest_driver", raising=False)
    import_module("nearest_driver")
    found = place_of_capture(Capture("nearest_driver", path, "attribute", original, "it waits"))
    assert found == (None if line is None else Place(str(tmp_path / "nearest_driver.py"), line))


def test_without_a_source_it_is_named_all_the_same() -> None:
    capture = Capture("sys.nowhere", "x", "attribute", "time.sleep", "it waits")
    assert (
        explain(capture, ()) == "sys.nowhere.x (attribute) holds the unpatched time.sleep, imported too early: it waits"
    )


def test_relative_imports_are_resolved(tmp_path: Path) -> None:
    path = tmp_path / "inner.py"
    path.write_text("from . import a\nfrom ..b import c\nimport d.e\n")
    assert set(imports_of("top.middle.inner", str(path))) >= {
        ("top.middle.a", 1),
        ("top.b", 2),
        ("top.b.c", 2),
        ("d.e", 3),
    }
