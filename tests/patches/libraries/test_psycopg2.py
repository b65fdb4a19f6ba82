"""psycopg2 yields, against a private PostgreSQL, and its own test-suite passes while it is patched."""

from __future__ import annotations

from typing import Any

from loadtests.private.postgresql import PostgreSQL
from tests.patches.suites import psycopg2_suite

from .probe import assert_checks, run_checks

CHECKS = "psycopg2_checks"


def test_checks(subtests: Any, postgresql: PostgreSQL) -> None:
    assert_checks(subtests, run_checks(CHECKS, postgresql.dsn))


def test_imported_before_patching(subtests: Any, postgresql: PostgreSQL) -> None:
    only = (
        "check_queries_yield",
        "check_undoing",
    )
    assert_checks(subtests, run_checks(CHECKS, postgresql.dsn, early="psycopg2", only=only))


def test_the_short_form_of_its_own_suite(postgresql: PostgreSQL) -> None:
    outcome = psycopg2_suite.run(postgresql, psycopg2_suite.SHORT)
    assert psycopg2_suite.SUITE.unexpected(outcome) == {}
    assert outcome.ran > 100
