"""Writes the table of libraries in docs/patches.rst from the catalogue: `python -m hublet.patches.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .catalogue import CATALOGUE
from .replacement import Patch

BEGIN: Final = ".. The table is written by ``python -m hublet.patches.reference``: change patches/catalogue instead."
END: Final = ".. The end of the table."
COLUMNS: Final = ("Library", "Versions", "Under hublet", "Patch", "Why", "Cost", "Where it blocks all the same")


def matrix(patches: Iterable[Patch]) -> str:
    """The table, in reStructuredText."""
    patches = list(patches)
    if not patches:  # a table without rows is an error
        return "The catalogue has no entries.\n"
    lines = [".. list-table::", "   :header-rows: 1", ""]
    ordered = sorted(patches, key=lambda each: (each.distribution.lower(), each.module, each.name))
    for row in [COLUMNS, *(row_of(each) for each in ordered)]:
        for number, cell in enumerate(row):
            lines.append(f"   {'*' if not number else ' '} - {cell}".rstrip())
    return "\n".join(lines) + "\n"


def row_of(patch: Patch) -> tuple[str, ...]:
    """One entry of the catalogue. What it says is plain text, and must stay so."""
    library = patch.distribution or f"standard library, {patch.module}"
    effect = f"{patch.effect}, with ``--patch {patch.name}``" if patch.optional else patch.effect
    name = f"``{patch.name}``" if patch.changes_something else ""
    plain = [escaped(each) for each in (patch.why, patch.cost, patch.remedy)]
    return (library, escaped(patch.versions), effect, name, *plain)


def escaped(text: str) -> str:
    """A text without meaning to reStructuredText, but for literals between double backquotes, in one line."""
    parts = " ".join(text.split()).split("``")
    special = str.maketrans({each: f"\\{each}" for each in "\\*`|_"})
    return "``".join(part if number % 2 else part.translate(special) for number, part in enumerate(parts))


def with_matrix(document: str, table: str) -> str:
    """A document with the table between its marks. Raises ValueError if they are not there."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document needs the lines {BEGIN!r} and {END!r}: the table stands between them")
    return f"{before}{begin}\n\n{table}\n{end}{after}"


def main(arguments: list[str]) -> int:
    """Renew the table in the file named, by default docs/patches.rst. Returns the exit status."""
    if len(arguments) > 1:
        print("usage: python -m hublet.patches.reference [FILE]", file=sys.stderr)
        return 2
    path = Path(*(arguments or ["docs/patches.rst"]))
    path.write_text(with_matrix(path.read_text(encoding="utf-8"), matrix(CATALOGUE)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
