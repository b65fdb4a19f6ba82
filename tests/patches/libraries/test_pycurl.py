"""pycurl's transfers yield; callbacks, errors, kept connections and multi handles are as before."""

from __future__ import annotations

import pytest

from .probe import assert_checks, run_checks


def test_pycurl(subtests: pytest.Subtests) -> None:
    assert_checks(subtests, run_checks("pycurl_checks"))
