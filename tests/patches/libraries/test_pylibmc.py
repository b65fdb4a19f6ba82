"""pylibmc yields; values, shared clients and pools are as before."""

from __future__ import annotations

import pytest

from .probe import run_checks
from .servers.caches import memcached_server


def test_pylibmc(subtests: pytest.Subtests) -> None:
    with memcached_server() as port:
        found = run_checks("pylibmc_checks", port=port)
    for name, problem in found.items():
        with subtests.test(name):
            assert problem == ""
