"""pycurl's transfers yield; callbacks, errors, kept connections and multi handles are as before."""

from __future__ import annotations

import pytest

from .probe import run_checks


def test_pycurl(subtests: pytest.Subtests) -> None:
    for name, problem in run_checks("pycurl_checks").items():
        with subtests.test(name):
            assert problem == ""
