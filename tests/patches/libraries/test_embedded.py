"""apsw and duckdb yield."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from .probe import assert_checks, run_checks


def test_checks(subtests: Any) -> None:
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        assert_checks(subtests, run_checks("embedded_checks", folder))
