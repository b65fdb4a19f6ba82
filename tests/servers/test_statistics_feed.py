"""The statistics file: an object every interval, also while the hub is blocked; no harm where it cannot be written."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import monkey
from hublet.runtime import limits
from hublet.runtime.errors import SettingsError
from hublet.runtime.hub_watch import Block, SourceLine
from hublet.servers import statistics_feed
from hublet.servers.settings import Settings
from hublet.servers.statistics_feed import StatisticsFeed

from tests.conftest import Serving, wait_until

native_sleep = monkey.get_original("time", "sleep")


@dataclass
class Counters:
    requests: int = 7


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "statistics.jsonl"


def test_an_object_every_interval_and_one_at_the_end(path: Path) -> None:
    feed = StatisticsFeed(Counters, str(path), 0.05)
    wait_until(lambda: len(objects(path)) >= 3)
    feed.close()
    written = objects(path)
    gevent.sleep(0.1)
    assert objects(path) == written
    assert [each["requests"] for each in written] == [7] * len(written)
    assert {each["pid"] for each in written} == {os.getpid()}
    times = [each["time"] for each in written]
    assert times == sorted(times)
    assert times[2] - times[0] > 0.09
    assert written[-1]["cpu"] >= written[0]["cpu"] > 0
    assert 2**20 < written[0]["memory"] < 2**34


def test_it_is_written_while_the_hub_is_blocked(path: Path) -> None:
    feed = StatisticsFeed(Counters, str(path), 0.05)
    gevent.sleep(0.001)
    native_sleep(0.3)  # a fixed time, since it is the block
    during = objects(path)
    wait_until(lambda: any(each["blockers"] for each in objects(path)))
    feed.close()
    assert len(during) >= 2
    assert max(each["lag"]["max"] for each in during) > 0.05
    (blocker,) = (each for line in objects(path) for each in line["blockers"] if each["total"] > 0.2)
    assert (blocker["file"], blocker["function"]) == (__file__, "test_it_is_written_while_the_hub_is_blocked")
    assert blocker["count"] == 1
    assert 0.29 < blocker["longest"] == blocker["total"] < 2


def test_it_tells_what_the_server_does(serve: Serving, path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "0")])
        return []

    served = serve(app)
    feed = StatisticsFeed(served.server.statistics, str(path), 0.05)
    for _ in range(3):
        served.get()
    feed.close()
    assert objects(path)[-1]["requests"] == 3
    assert objects(path)[-1]["accepted"] == 3


def test_a_renamed_file_is_made_anew(path: Path) -> None:
    feed = StatisticsFeed(Counters, str(path), 0.05)
    wait_until(lambda: objects(path))
    path.rename(path.with_suffix(".1"))
    wait_until(lambda: path.exists() and objects(path))
    feed.close()


def test_a_folder_that_goes_costs_objects_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with caplog.at_level(logging.WARNING, "hublet.statistics"):
        feed = StatisticsFeed(Counters, str(folder / "file"), 0.05)
        (folder / "file").unlink()
        folder.rmdir()
        wait_until(lambda: caplog.records)
        folder.mkdir()
        wait_until(lambda: (folder / "file").exists() and objects(folder / "file"))
        feed.close()
    (record,) = caplog.records
    assert "file cannot be written, objects are lost: No such file or directory" in record.getMessage()


def test_a_pipe_that_nobody_reads_holds_up_nothing(path: Path) -> None:
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    feed = StatisticsFeed(Counters, str(path), 0.05)
    received: list[bytes] = []

    def read() -> bool:
        with contextlib.suppress(BlockingIOError):
            received.append(os.read(reader, 65536))
        return any(received)

    wait_until(read)
    assert json.loads(received[-1].splitlines()[0])["requests"] == 7
    os.close(reader)
    began = time.monotonic()
    feed.close()
    assert time.monotonic() - began < 5


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        StatisticsFeed(Counters, str(tmp_path), 1)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_only_the_longest_blockers_are_named(beyond: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics_feed, "STATISTICS_BLOCKERS", 2)
    feed = StatisticsFeed(Counters, str(path), 0.05)
    # Lines of blocks that have been seen.
    for line in range(2 + beyond):
        place = SourceLine("app.py", line, "view")
        feed._blocks.append(Block(place, 0.0, 1.0 + line, (place,)))
    feed.close()
    named = [each["line"] for line in objects(path) for each in line["blockers"] if each["file"] == "app.py"]
    assert named == {-1: [0], 0: [1, 0], 1: [2, 1]}[beyond]


@pytest.mark.parametrize("interval", [limits.STATISTICS_LEAST, limits.STATISTICS_LEAST + 0.01])
def test_intervals_that_are_accepted(interval: float) -> None:
    assert Settings(statistics_interval=interval).statistics_interval == interval


def test_an_interval_that_is_too_short() -> None:
    with pytest.raises(SettingsError, match="must be at least 0.05"):
        Settings(statistics_interval=limits.STATISTICS_LEAST - 0.001)
