"""sqlite3 yields, and CPython's own tests of it pass while it is patched."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from .probe import assert_checks, run_checks

CHECKS = "sqlite_checks"


@pytest.fixture
def folder() -> Iterator[str]:
    """In memory where there is such a file system: the patch does not cure a disk's slowness."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as made:
        yield made


def test_checks(subtests: Any, folder: str) -> None:
    assert_checks(subtests, run_checks(CHECKS, folder))


def test_imported_before_patching(subtests: Any, folder: str) -> None:
    only = (
        "check_waits_for_locks_yield",
        "check_undoing",
    )
    assert_checks(subtests, run_checks(CHECKS, folder, early="sqlite3", only=only))
