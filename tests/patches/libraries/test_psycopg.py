"""psycopg 3 yields, also where it was imported before the patching; so do psycopg_pool and pg8000."""

from __future__ import annotations

from typing import Any

from loadtests.private.postgresql import PostgreSQL

from .probe import assert_checks, run_checks

CHECKS = "psycopg_checks"


def test_checks(subtests: Any, postgresql: PostgreSQL) -> None:
    assert_checks(subtests, run_checks(CHECKS, postgresql.dsn))


def test_imported_before_patching(subtests: Any, postgresql: PostgreSQL) -> None:
    only = (
        "check_queries_yield",
        "check_a_connection_shared_by_greenlets",
        "check_undoing",
    )
    assert_checks(subtests, run_checks(CHECKS, postgresql.dsn, early="psycopg", only=only))
