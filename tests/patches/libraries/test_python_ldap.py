"""python-ldap yields, also where greenlets share a connection; errors and time limits are its own."""

from __future__ import annotations

import pytest

from loadtests.private.ldap_directory import ldap_server

from .probe import assert_checks, run_checks


def test_python_ldap(subtests: pytest.Subtests) -> None:
    with ldap_server() as port:
        found = run_checks("python_ldap_checks", port=port)
    assert_checks(subtests, found)
