"""What the catalogue says to cooperate as it is does: PyMySQL and redis-py, against real servers."""

from __future__ import annotations

import pytest

from loadtests.private.caches import redis_server
from loadtests.private.mariadb import MariaDB
from tests.patches.suites import pymysql_suite

from .probe import assert_checks, run_checks


def test_pymysql(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("pymysql_checks", port=mariadb.port))


def test_the_short_form_of_the_suite_of_pymysql(mariadb: MariaDB) -> None:
    """It comes out as it does unpatched."""
    outcome, plain = (pymysql_suite.run(mariadb, pymysql_suite.SHORT, patched) for patched in (True, False))
    assert pymysql_suite.SUITE.unexpected(outcome) == {}
    assert outcome.failed.keys() == plain.failed.keys()
    assert (outcome.ran, outcome.skipped) == (plain.ran, plain.skipped)
    assert outcome.ran > 90


def test_redis(subtests: pytest.Subtests) -> None:
    with redis_server() as port:
        found = run_checks("redis_checks", port=port)
    assert_checks(subtests, found)
