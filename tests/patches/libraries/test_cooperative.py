"""What the catalogue says to cooperate as it is does: PyMySQL and redis-py, against real servers."""

from __future__ import annotations

import pytest

from .probe import run_checks
from .servers.caches import redis_server
from .servers.mariadb import MariaDB


def test_pymysql(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("pymysql_checks", port=mariadb.port).items():
        with subtests.test(name):
            assert problem == ""


def test_redis(subtests: pytest.Subtests) -> None:
    with redis_server() as port:
        found = run_checks("redis_checks", port=port)
    for name, problem in found.items():
        with subtests.test(name):
            assert problem == ""
