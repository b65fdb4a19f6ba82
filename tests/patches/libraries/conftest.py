"""The servers that tests of libraries share: each is started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadtests.private.mariadb import MariaDB, mariadb_server
from loadtests.private.postgresql import PostgreSQL
from loadtests.private.postgresql import postgresql as private_postgresql
from loadtests.private.rabbitmq import rabbitmq_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with private_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with mariadb_server() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[int]:
    with rabbitmq_server() as port:
        yield port
