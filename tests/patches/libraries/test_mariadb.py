"""MariaDB's driver yields: queries and transactions; a pool of its lends a connection to one greenlet at a time."""

from __future__ import annotations

import pytest

from loadtests.private.mariadb import MariaDB

from .probe import assert_checks, run_checks


def test_mariadb(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("mariadb_checks", port=mariadb.port))
