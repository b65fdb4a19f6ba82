"""What `open` returns under `hublet.patch_all()`, in a process of its own."""

from __future__ import annotations

import pytest

from .probe import assert_checks, run_checks


def test_file_objects(subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("file_objects_checks"))
