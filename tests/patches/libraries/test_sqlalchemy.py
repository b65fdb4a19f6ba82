"""SQLAlchemy's pools yield, or say why they do not."""

from __future__ import annotations

from typing import Any

from loadtests.private.postgresql import PostgreSQL

from .probe import assert_checks, run_checks


def test_checks(subtests: Any, postgresql: PostgreSQL) -> None:
    assert_checks(subtests, run_checks("sqlalchemy_checks", postgresql.dsn))
