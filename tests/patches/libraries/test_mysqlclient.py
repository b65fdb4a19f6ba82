"""mysqlclient yields: queries, slow results, transactions; and what is killed inside a query closes its connection."""

from __future__ import annotations

import pytest

from loadtests.private.mariadb import MariaDB

from .probe import assert_checks, run_checks


def test_mysqlclient(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("mysqlclient_checks", port=mariadb.port))
