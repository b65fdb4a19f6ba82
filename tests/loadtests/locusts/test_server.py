"""What a statistics file says of several processes, of those that have ended, and of the time before the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hublet.loadtest.server import StatisticsReader

BLOCKER = {"file": "app.py", "line": 7, "function": "view", "count": 1, "total": 2.0, "longest": 2.0}


def write(path: Path, pid: int, time: float, **fields: Any) -> None:
    counted = dict.fromkeys(("connections", "in_flight", "queued", "websockets", "requests", "rejected", "cpu"), 1)
    line = {"pid": pid, "time": time, **counted, "memory": 100, "lag": {"max": 0.0}, "blockers": [], **fields}
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def state(reader: StatisticsReader) -> dict[str, Any]:
    found = reader.read()
    assert found is not None
    return found


def test_processes_are_summed_up(tmp_path: Path) -> None:
    reader = StatisticsReader(tmp_path / "it")
    assert reader.read() is None
    write(tmp_path / "it", 1, 10.0, lag={"max": 0.3})
    write(tmp_path / "it", 2, 10.4)
    assert (state(reader)["in_flight"], state(reader)["memory"], state(reader)["requests"]) == (2, 200, 2)


def test_of_a_process_that_has_ended_only_what_it_has_done_is_left(tmp_path: Path) -> None:
    reader = StatisticsReader(tmp_path / "it")
    for second in range(2):
        write(tmp_path / "it", 1, second)
    for second in range(2, 8):
        write(tmp_path / "it", 2, second)
    assert (state(reader)["in_flight"], state(reader)["memory"], state(reader)["requests"]) == (1, 100, 2)


def test_a_process_that_writes_seldom_has_not_ended(tmp_path: Path) -> None:
    reader = StatisticsReader(tmp_path / "it")
    for pid, second in ((1, 0), (2, 20), (1, 60), (2, 80)):
        write(tmp_path / "it", pid, second)
    assert state(reader)["in_flight"] == 2


def test_what_was_before_the_test_is_not_its_doing(tmp_path: Path) -> None:
    reader = StatisticsReader(tmp_path / "it")
    write(tmp_path / "it", 1, 10.0, lag={"max": 2.0}, blockers=[BLOCKER], requests=5)
    reader.skip()
    assert state(reader) | {"lag": 0.0, "blocker": "", "requests": 5} == state(reader)
    assert reader.top_blockers() == []
    write(tmp_path / "it", 1, 11.0, lag={"max": 2.0}, blockers=[BLOCKER])
    assert state(reader)["lag"] == 2.0
    assert len(reader.top_blockers()) == 1
