"""Scripts for SQLite (`executescript`), statement by statement, so that each can wait for a lock by itself."""

from __future__ import annotations

import re
import sqlite3
from collections import deque
from collections.abc import Iterator
from sqlite3 import Cursor as NativeCursor
from typing import Final

# A semicolon, and what has semicolons that end nothing, also where its own end is missing.
MARKS: Final = re.compile(r"""'[^']*'?|"[^"]*"?|`[^`]*`?|\[[^]]*]?|--[^\n]*|/\*.*?(?:\*/|\Z)|;""", re.DOTALL)
LACKING: Final = re.compile(r"Incorrect number of bindings supplied.*uses (\d+)")


def statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one; the last may be incomplete."""
    begun = 0
    for mark in MARKS.finditer(script):
        if mark[0] == ";" and sqlite3.complete_statement(script[begun : mark.end()]):  # not within a trigger's
            yield script[begun : mark.end()]
            begun = mark.end()
    if script[begun:].strip():
        yield script[begun:]


class Nulls(dict[str, None]):
    """The parameters of a script, which has none: NULL for any name."""

    def __missing__(self, name: str) -> None:
        return None


def executed_whole(cursor: NativeCursor, sql: str) -> None:
    """Execute a statement of a script to its end, which may be a commit that has to wait. Its parameters are NULL."""
    try:
        cursor.execute(sql)
    except sqlite3.ProgrammingError as error:
        lacking = LACKING.search(str(error))
        if not lacking:
            raise
        try:
            cursor.execute(sql, Nulls())
        except sqlite3.ProgrammingError:  # they have no names
            cursor.execute(sql, (None,) * int(lacking[1]))
    deque(cursor, 0)
