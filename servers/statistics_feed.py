"""Writes what a server is doing into a file, one JSON object at a time, also while the hub is blocked.

A native thread writes it, since a blocked hub is what one wants to see. The file is opened anew for each object, so
that it can be renamed at any time, and several processes may share it: each object is one line in one write(2), which
O_APPEND puts at the end in one step, and says whose it is. A pipe that nobody reads loses objects and holds up nothing.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gevent import get_hub, monkey

from ..runtime.histogram import Histogram
from ..runtime.hub_watch import Block, Blocker, HubWatch, SourceLine
from ..runtime.limits import STATISTICS_BLOCKERS, WATCHED_LINES
from ..runtime.process_memory import resident_bytes

start_new_thread: Callable[..., int] = monkey.get_original("_thread", "start_new_thread")
allocate_lock: Callable[[], Any] = monkey.get_original("_thread", "allocate_lock")

FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
# How long `close` waits for a disk that takes nothing, in seconds.
CLOSE_TIMEOUT: Final = 2.0

log = logging.getLogger("hublet.statistics")


class StatisticsFeed:
    """Appends an object every `interval` seconds, from now until `close`, which appends the last one.

    `statistics` returns a dataclass of counters; it is called in a native thread. Raises OSError if the file cannot be
    opened, and never afterwards: the first error is logged. Make it and close it in the thread of the hub.
    """

    def __init__(self, statistics: Callable[[], Any], path: str, interval: float) -> None:
        self._statistics = statistics
        self._path = os.path.abspath(path)
        self._interval = interval
        self._blocks: deque[Block] = deque(maxlen=WATCHED_LINES)
        self._before = Histogram()
        self._failed = False
        append(self._path, b"")
        self._loop = get_hub().loop
        self._watch = HubWatch(on_block=self._blocks.append)
        self._watch.start()
        self._stopping, self._stopped = allocate_lock(), allocate_lock()
        self._stopping.acquire()
        self._stopped.acquire()
        start_new_thread(self._feed, ())

    def close(self) -> None:
        """Append the last object, and end."""
        self._watch.stop()
        self._stopping.release()
        self._stopped.acquire(timeout=CLOSE_TIMEOUT)

    def _feed(self) -> None:
        try:
            due = time.monotonic()
            stopping = False
            while not stopping:
                due = max(due + self._interval, time.monotonic())
                stopping = self._stopping.acquire(timeout=max(due - time.monotonic(), 0))
                self._append_object()
        finally:
            self._stopped.release()

    def _append_object(self) -> None:
        try:
            append(self._path, json.dumps(self._object(), separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            if not self._failed:
                self._failed = True
                text = f"the statistics file {self._path} cannot be written, objects are lost: {error.strerror}"
                self._loop.run_callback_threadsafe(log.warning, "%s", text)

    def _object(self) -> dict[str, Any]:
        lag = self._watch.lag()
        since, self._before = lag - self._before, lag
        return {
            "time": round(time.time(), 3),
            "pid": os.getpid(),
            **dataclasses.asdict(self._statistics()),
            "cpu": round(time.process_time(), 3),
            "memory": resident_bytes(),
            "lag": {name: round(since.percentile(part), 5) for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))},
            "blockers": [
                {
                    **each.line._asdict(),
                    "count": each.count,
                    "total": round(each.total, 4),
                    "longest": round(each.longest, 4),
                }
                for each in self._blockers()
            ],
        }

    def _blockers(self) -> list[Blocker]:
        """The lines of the blocks that have ended since the last object, those with the longest sum first."""
        lines: dict[SourceLine, Blocker] = {}
        while self._blocks:
            block = self._blocks.popleft()
            if block.line in lines:
                lines[block.line].add(block)
            else:
                lines[block.line] = Blocker(block.line, 1, block.seconds, block.seconds, block.stack)
        return sorted(lines.values(), key=lambda each: each.total, reverse=True)[:STATISTICS_BLOCKERS]


def append(path: str, line: bytes) -> None:
    """Append a line to a file, which is made if there is none. Raises OSError."""
    descriptor = os.open(path, FLAGS, 0o644)
    try:
        if line:
            os.write(descriptor, line)
    finally:
        os.close(descriptor)
