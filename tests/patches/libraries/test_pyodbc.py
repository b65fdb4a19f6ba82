"""pyodbc yields, and what stands in for its connections and cursors behaves as they do."""

from __future__ import annotations

import pytest

from .probe import run_checks
from .servers.mariadb import MariaDB


def test_pyodbc(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("pyodbc_checks", port=mariadb.port).items():
        with subtests.test(name):
            assert problem == ""
