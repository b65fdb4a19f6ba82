"""mysql-connector yields, though its C extension is installed: its connections are those written in Python."""

from __future__ import annotations

import pytest

from .probe import run_checks
from .servers.mariadb import MariaDB


def test_mysql_connector(mariadb: MariaDB, subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("mysql_connector_checks", port=mariadb.port).items():
        with subtests.test(name):
            assert problem == ""
