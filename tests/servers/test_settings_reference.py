"""docs/settings.rst: written from the settings, and current."""

from __future__ import annotations

from pathlib import Path

from hublet.servers.settings_reference import main, settings_reference
from hublet.servers.settings_sources import OPTIONS

COMMITTED = Path(__file__).parent.parent.parent / "docs" / "settings.rst"


def test_the_committed_file_is_current() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == settings_reference(), "write it anew: `make docs`"


def test_every_setting_is_in_it() -> None:
    text = settings_reference()
    for option in OPTIONS.values():
        assert f"``{option.flag}" in text
        assert f"``{option.variable}``" in text


def test_it_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    assert main([str(tmp_path / "settings.rst")]) == 0
    assert (tmp_path / "settings.rst").read_text(encoding="utf-8") == settings_reference()
    assert main(["a", "b"]) == 2
