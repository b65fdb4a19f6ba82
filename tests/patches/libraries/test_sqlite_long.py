"""What is remembered of long SQLite statements is bounded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hublet.patches.libraries import sqlite_long
from hublet.runtime.limits import SQLITE_LONG_STATEMENTS


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    sqlite_long.known.clear()
    yield
    sqlite_long.known.clear()


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_latest_are_remembered(more: int) -> None:
    statements = [f"SELECT {number}" for number in range(SQLITE_LONG_STATEMENTS + more)]
    for each in statements:
        sqlite_long.remember(each)
    assert len(sqlite_long.known) == min(len(statements), SQLITE_LONG_STATEMENTS)
    assert sqlite_long.is_long(statements[-1])
    assert sqlite_long.is_long(statements[0]) == (more <= 0)


def test_one_that_is_used_again_stays() -> None:
    for number in range(SQLITE_LONG_STATEMENTS):
        sqlite_long.remember(f"SELECT {number}")
    sqlite_long.remember("SELECT 0")
    sqlite_long.remember("SELECT one_more")
    assert sqlite_long.is_long("SELECT 0")
    assert not sqlite_long.is_long("SELECT 1")
