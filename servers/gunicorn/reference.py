"""Writes the table of docs/gunicorn.rst: `python -m hublet.servers.gunicorn.reference`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from .names import NAMES, Name

BEGIN: Final = (
    ".. Written by ``python -m hublet.servers.gunicorn.reference``: change servers/gunicorn/names.py instead.\n\n"
)
MINDED_BY: Final = {"gunicorn": "gunicorn", "worker": "hublet", "nobody": "ignored"}


def settings_table() -> str:
    """The table, one row for each setting."""
    rows = "".join(row(each) for each in NAMES)
    head = "   * - gunicorn\n     - under gunicorn\n     - without gunicorn\n"
    return f"{BEGIN}.. list-table::\n   :header-rows: 1\n\n{head}{rows}"


def row(name: Name) -> str:
    """One setting: who minds it under gunicorn, and what it is to hublet."""
    if name.becomes:
        without = ", ".join(f"``{each}``" for each in name.becomes)
    else:
        without = name.instead if name.is_used else f"ignored: {name.instead}"
    options = "".join(f", ``{each}``" for each in name.options)
    return f"   * - ``{name.name}``{options}\n     - {MINDED_BY[name.in_worker]}\n     - {without}\n"


def main(arguments: list[str]) -> int:
    """Put the table at the end of the file named, by default docs/gunicorn.rst. Returns the exit status."""
    path = Path(*(arguments or ["docs/gunicorn.rst"]))
    before = path.read_text(encoding="utf-8").partition(BEGIN)[0]
    path.write_text(before + settings_table(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
