"""ZeroMQ's sockets and pollers yield, and keep their time limits."""

from __future__ import annotations

import pytest

from .probe import assert_checks, run_checks


def test_pyzmq(subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("pyzmq_checks"))
