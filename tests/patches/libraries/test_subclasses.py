"""Cooperative classes derived from an application's own: which, and how many are remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hublet.patches.libraries.psycopg2_large_objects import cooperative_large_object
from hublet.patches.libraries.subclasses import cooperative
from hublet.runtime.limits import COOPERATIVE_CLASSES
from psycopg2.extensions import lobject


class Ours(sqlite3.Connection):
    """What a patch would put there."""

    def commit(self) -> None:
        self.committed = "by ours"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    cooperative.cache_clear()
    yield
    cooperative.cache_clear()


def made(number: int) -> type:
    return type(f"Mine{number}", (sqlite3.Connection,), {"number": number})


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_so_many_are_remembered(more: int) -> None:
    """One that has been forgotten is derived again."""
    theirs = [made(number) for number in range(COOPERATIVE_CLASSES + more)]
    derived = [cooperative(each, Ours) for each in theirs]
    assert cooperative.cache_info().currsize == min(len(theirs), COOPERATIVE_CLASSES)
    assert cooperative(theirs[-1], Ours) is derived[-1]
    again = cooperative(theirs[0], Ours)
    assert (again is derived[0]) == (more <= 0)
    assert issubclass(again, (theirs[0], Ours))
    assert again.__name__ == "Mine0"


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_so_many_classes_of_large_objects_are_remembered(more: int) -> None:
    cooperative_large_object.cache_clear()
    theirs = [type(f"Mine{number}", (lobject,), {}) for number in range(COOPERATIVE_CLASSES + more)]
    derived = [cooperative_large_object(each) for each in theirs]
    assert cooperative_large_object.cache_info().currsize == min(len(theirs), COOPERATIVE_CLASSES)
    again = cooperative_large_object(theirs[0])
    assert (again is derived[0]) == (more <= 0)
    assert issubclass(again, theirs[0])
    cooperative_large_object.cache_clear()


def test_which_classes_are_derived() -> None:
    class Heir(Ours):
        pass

    class Other:
        def commit(self) -> None: ...

    def factory() -> None: ...

    assert cooperative(Heir, Ours) is Heir
    assert cooperative(sqlite3.Connection, Ours) is Ours
    assert cooperative(factory, Ours) is factory
    assert cooperative(bool, Ours) is bool  # it cannot be derived from
    mine = cooperative(made(1), Ours)(":memory:")
    mine.commit()
    assert mine.committed == "by ours"
    mine.close()
