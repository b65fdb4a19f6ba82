"""Locks of files, copies and input under `hublet.patch_all()`, in a process of its own."""

from __future__ import annotations

import pytest

from .probe import run_checks


def test_files(subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("files_checks").items():
        with subtests.test(name):
            assert not problem, problem
