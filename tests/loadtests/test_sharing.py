"""The study of how workers share connections: its workers answer, and what it counts is right."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from loadtests.sharing.__main__ import HELD, held, short, spread, two_workers


@pytest.mark.skipif(sys.platform != "linux", reason="epoll")
@pytest.mark.parametrize("way", ["hublet", "shared", "exclusive", "reuseport"])
def test_both_workers_answer_and_one_is_enough(way: str, tmp_path: Path) -> None:
    with two_workers(way, tmp_path / way) as (port, workers):
        before = {str(pid) for pid in workers()}
        assert len(before) == 2
        counts = asyncio.run(held(port, "/?0.05"))
        assert counts.total() == HELD
        assert set(counts) <= before
        os.kill(min(workers()), signal.SIGTERM)
        served, _ = asyncio.run(short(port, 0.2))
        assert served.total() > 0


def test_the_spread_is_the_share_of_the_busier_one() -> None:
    assert spread(Counter({"1": 30, "2": 10})) == "75%"
