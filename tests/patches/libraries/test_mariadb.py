"""MariaDB's driver yields: queries and transactions; a pool of its lends a connection to one greenlet at a time."""

from __future__ import annotations

import pytest

from .probe import run_checks
from .servers.mariadb import MariaDB


def test_mariadb(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("mariadb_checks", port=mariadb.port).items():
        with subtests.test(name):
            assert problem == ""
