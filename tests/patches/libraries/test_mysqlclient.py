"""mysqlclient yields: queries, slow results, transactions; and what is killed inside a query closes its connection."""

from __future__ import annotations

import pytest

from .probe import run_checks
from .servers.mariadb import MariaDB


def test_mysqlclient(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("mysqlclient_checks", port=mariadb.port).items():
        with subtests.test(name):
            assert problem == ""
