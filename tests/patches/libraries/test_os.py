"""Pipes, terminals, files, children and programs under `hublet.patch_all()`, in a process of its own."""

from __future__ import annotations

import pytest

from .probe import assert_checks, run_checks


def test_os_and_subprocess(subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("os_checks"))
