"""ZeroMQ's sockets and pollers yield, and keep their time limits."""

from __future__ import annotations

import pytest

from .probe import run_checks


def test_pyzmq(subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("pyzmq_checks").items():
        with subtests.test(name):
            assert problem == ""
