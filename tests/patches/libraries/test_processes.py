"""Pools of processes and threads under `hublet.patch_all()`, in a process of its own."""

from __future__ import annotations

import pytest

from .probe import assert_checks, run_checks


def test_pools(subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("processes_checks"))
