"""mysql-connector yields, though its C extension is installed: its connections are those written in Python."""

from __future__ import annotations

import pytest

from loadtests.private.mariadb import MariaDB

from .probe import assert_checks, run_checks


def test_mysql_connector(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("mysql_connector_checks", port=mariadb.port))
