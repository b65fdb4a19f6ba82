"""pylibmc yields; values, shared clients and pools are as before."""

from __future__ import annotations

import pytest

from loadtests.private.caches import memcached_server

from .probe import assert_checks, run_checks


def test_pylibmc(subtests: pytest.Subtests) -> None:
    with memcached_server() as port:
        found = run_checks("pylibmc_checks", port=port)
    assert_checks(subtests, found)
