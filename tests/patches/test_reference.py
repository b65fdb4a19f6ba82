"""docs/patches.rst has the catalogue as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hublet.patches.catalogue import CATALOGUE
from hublet.patches.reference import BEGIN, END, escaped, main, matrix, with_matrix
from hublet.patches.replacement import Patch, Replacement

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "patches.rst"


def test_the_table_is_current() -> None:
    """If this fails: `make docs`."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_matrix(text, matrix(CATALOGUE)) == text


def test_a_row_for_each_patch_in_the_order_of_the_libraries() -> None:
    changed = Patch(
        "b", "why *so*", (Replacement("x:y", "z:y"),), module="x", distribution="Zeta", versions=">=1,<2", optional=True
    )
    known = Patch("a", "waits", module="os", effect="blocks", remedy="use ``os.other_name``")
    assert matrix([changed, known]).split("   * - ")[2:] == [
        "standard library, os\n     -\n     - blocks\n     -\n     - waits\n     -\n     - use ``os.other_name``\n",
        "Zeta\n     - >=1,<2\n     - patched, with ``--patch b``\n     - ``b``\n     - why \\*so\\*\n     -\n     -\n",
    ]


def test_what_text_would_mean_is_escaped() -> None:
    assert escaped("a_b `c`  |d|\n``e_f`` *") == "a\\_b \\`c\\` \\|d\\| ``e_f`` \\*"


def test_renewing_a_file(tmp_path: Path) -> None:
    path = tmp_path / "patches.rst"
    path.write_text(f"before\n\n{BEGIN}\nwhat stood here before\n{END}\n\nafter\n")
    assert main([str(path)]) == 0
    once = path.read_text()
    assert "what stood here before" not in once
    assert once.startswith("before\n\n")
    assert once.endswith("\n\nafter\n")
    assert main([str(path)]) == 0
    assert path.read_text() == once
    with pytest.raises(ValueError, match="the table stands between them"):
        with_matrix("nothing", "")
