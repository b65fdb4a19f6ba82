"""What the catalogue says to cooperate as it is does: PyMySQL and redis-py, against real servers."""

from __future__ import annotations

import pytest

from loadtests.private.caches import redis_server
from loadtests.private.mariadb import MariaDB

from .probe import assert_checks, run_checks


def test_pymysql(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("pymysql_checks", port=mariadb.port))


def test_redis(subtests: pytest.Subtests) -> None:
    with redis_server() as port:
        found = run_checks("redis_checks", port=port)
    assert_checks(subtests, found)
