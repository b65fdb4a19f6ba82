"""The servers that tests of libraries share: each is started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .servers.mariadb import MariaDB, mariadb_server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with mariadb_server() as server:
        yield server
