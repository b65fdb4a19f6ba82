"""The ways of gunicorn are tried for real, and what stays unpatched is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hublet.doctor.import_order import try_import_order


def test_what_an_early_application_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "early_shop.py").write_text(
        "print('hello')\nimport socket\nfrom time import sleep\nclass Wire(socket.socket): pass\n"
        "def app(environ, start_response): return []\n"
    )
    found = try_import_order("preload", "early_shop:app")
    assert (found.problem, found.rebound > 0) == ("", True)
    assert [each.split(" ")[0] for each in found.unpatched] == ["early_shop.Wire"]
    assert "early_shop.py:" in found.unpatched[0]


def test_an_application_that_cannot_be_imported_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_shop.py").write_text("import os\nos._exit(3)\n")
    assert try_import_order("preload", "broken_shop:app").problem == "status 3"
    assert "no_such_shop" in try_import_order("preload", "no_such_shop:app").problem
