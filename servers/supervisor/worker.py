"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import enum
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import gevent

from ...runtime.io_events import READ
from .channel import ENDING, SUCCEEDED, WorkerEnds, hand_down_ends, tell

PIPE_SIZE: Final = 4096


class State(enum.Enum):
    """Where in its life a worker is."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"


class Events(Protocol):
    """What is told about workers."""

    def heard(self, worker: Worker, messages: bytes) -> None: ...  # noqa: D102

    def ended(self, worker: Worker) -> None: ...  # noqa: D102


class Worker:
    """A worker process. `generation` is the number of the reload it belongs to, `place` its number among its fellows.

    `events` is told, on the hub, what the worker has written, and of its end.
    """

    def __init__(
        self,
        pid: int,
        status: int,
        control: int,
        generation: int,
        place: int,
        events: Events,
    ) -> None:
        self.pid = pid
        self.status = status
        self.control = control
        self.generation = generation
        self.place = place
        self.state = State.STARTING
        #: When it was started, when it was told to leave, and when it was last heard of, on the monotonic clock.
        self.since = self.last_heard = time.monotonic()
        self.replaces: Worker | None = None
        self._heard, self._ended = events.heard, events.ended
        os.set_blocking(status, False)
        for descriptor in (status, control):  # no worker may hold the ends of another
            os.set_inheritable(descriptor, False)
        loop = gevent.get_hub().loop
        loop.install_sigchld()
        # From here on gevent's loop waits for it; `os.waitpid` would be too late.
        self._child: Any = loop.child(pid)
        self._child.start(self._on_end)
        self._watcher: Any = loop.io(status, READ)
        self._watcher.start(self._on_readable)
        self.exit_status: int | None = None

    def __str__(self) -> str:
        return f"worker {self.pid}"

    def _on_end(self) -> None:
        self.exit_status = os.waitstatus_to_exitcode(self._child.rstatus)
        self._ended(self)

    def _on_readable(self) -> None:
        with suppress(BlockingIOError):
            messages = os.read(self.status, PIPE_SIZE)
            self.last_heard = time.monotonic()
            if messages:
                self._heard(self, messages)
            else:
                self._watcher.stop()

    def retire(self) -> None:
        """Tell it that a successor serves: it finishes its requests and leaves."""
        self._leave()
        tell(self.control, SUCCEEDED)

    def signal(self, number: int) -> None:
        """Send a signal, unless it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self, number: int) -> None:
        """Ask it to leave by a signal; nobody succeeds it."""
        self._leave()
        tell(self.control, ENDING)
        self.signal(number)

    def _leave(self) -> None:
        if self.state is not State.LEAVING:
            self.state = State.LEAVING
            self.since = time.monotonic()

    def close(self) -> None:
        """Let go of the pipes of a worker that has ended."""
        for watcher in (self._watcher, self._child):
            watcher.stop()
            watcher.close()
        os.close(self.status)
        os.close(self.control)


def start_worker(
    command: Sequence[str],
    directory: Path,
    variables: Mapping[str, str],
    board: int,
    generation: int,
    place: int,
    events: Events,
) -> Worker:
    """Start a process in a directory. Every inheritable descriptor is handed down. Raises OSError."""
    status_reader, status_writer = os.pipe()
    control_reader, control_writer = os.pipe()
    for descriptor in (status_writer, control_reader):
        os.set_inheritable(descriptor, True)
    ends = WorkerEnds(status_writer, control_reader, board, place)
    own_directory = Path.cwd()
    try:
        os.chdir(directory)  # it inherits ours
        pid = os.posix_spawn(sys.executable, [*command], {**os.environ, **variables, **hand_down_ends(ends)})
    except BaseException:
        os.close(status_reader)
        os.close(control_writer)
        raise
    finally:
        os.chdir(own_directory)
        os.close(status_writer)
        os.close(control_reader)
    os.set_blocking(control_writer, False)
    return Worker(pid, status_reader, control_writer, generation, place, events)


def describe_end(status: int) -> str:
    """Say how a process ended."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}" if status else "ended"
