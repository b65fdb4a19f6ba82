"""gRPC's calls yield, on channels shared and not, and their errors and deadlines are its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from loadtests.private.process import accepts, free_port, running

from .probe import assert_checks, run_checks

SERVER = Path(__file__).parent / "grpc_echo.py"


def test_grpcio(tmp_path: Path, subtests: pytest.Subtests) -> None:
    port = free_port()
    with running([sys.executable, str(SERVER), str(port)], lambda: accepts(port), tmp_path / "log"):
        found = run_checks("grpcio_checks", port=port)
    assert_checks(subtests, found)
