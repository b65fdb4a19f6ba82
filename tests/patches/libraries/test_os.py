"""Pipes, terminals, files, children and programs under `hublet.patch_all()`, in a process of its own."""

from __future__ import annotations

import pytest

from .probe import run_checks


def test_os_and_subprocess(subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("os_checks").items():
        with subtests.test(name):
            assert not problem, problem
