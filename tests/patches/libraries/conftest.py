"""The servers that the drivers' tests share; each is started once, when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.patches.libraries.servers.postgresql import PostgreSQL
from tests.patches.libraries.servers.postgresql import postgresql as private_postgresql


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with private_postgresql() as server:
        yield server
