"""pyodbc yields, and what stands in for its connections and cursors behaves as they do."""

from __future__ import annotations

import pytest

from loadtests.private.mariadb import MariaDB

from .probe import assert_checks, run_checks


def test_pyodbc(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("pyodbc_checks", port=mariadb.port))
