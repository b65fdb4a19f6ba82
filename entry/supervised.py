"""A worker's side of being supervised: it says that it is ready, that it is alive, and when it wants to be replaced."""

from __future__ import annotations

import faulthandler
import logging
import os
import random
import signal
from contextlib import suppress
from typing import Any, Final, Protocol

import gevent

from .runtime.io_events import READ
from .runtime.limits import KIB
from .runtime.process_memory import resident_bytes
from .servers.load_board import LoadBoard
from .servers.server import WSGIServer
from .servers.settings import Settings
from .servers.supervisor.channel import ENDING, HEARTBEAT, LEAVING, READY, RECYCLE, SUCCEEDED, TURNING, WorkerEnds, tell

log = logging.getLogger("hublet.worker")

PIPE_SIZE: Final = 512
STANDARD_ERROR: Final = 2
# Signals that are for the supervisor, which a terminal sends to its workers too.
SUPERVISORS: Final = (signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)


class Told(Protocol):
    """What is told of the end."""

    def signalled(self, number: int) -> None: ...  # noqa: D102

    def succeed(self) -> None: ...  # noqa: D102


class Supervised:
    """Speaks for a server to the supervisor, and for the supervisor to `life`."""

    def __init__(self, ends: WorkerEnds, server: WSGIServer, life: Told, settings: Settings) -> None:
        self._ends = ends
        self._server = server
        self._life = life
        jitter = random.randint(0, settings.max_requests_jitter)  # noqa: S311
        self._most_requests = settings.max_requests + jitter if settings.max_requests else 0
        self._most_memory = settings.max_rss
        self._recycling = False
        self._ending = False
        for number in SUPERVISORS:
            signal.signal(number, signal.SIG_IGN)
        # A hub that is blocked, in C perhaps, is ended by SIGABRT: say where it is. A handler of Python's follows.
        faulthandler.enable(STANDARD_ERROR)
        self._board = LoadBoard(ends.board)
        self._has_left = False
        server.share = self._share
        server.on_fewer = self._post
        server.patient = True
        os.set_blocking(ends.status, False)
        os.set_blocking(ends.control, False)
        loop = gevent.get_hub().loop
        self._watcher: Any = loop.io(ends.control, READ, ref=False)
        self._watcher.start(gevent.spawn, self._on_control)
        self._timer: Any = loop.timer(HEARTBEAT, HEARTBEAT, ref=False)
        self._timer.start(self._beat)

    def report_ready(self) -> None:
        """Tell the supervisor that the server accepts connections."""
        self._post()
        tell(self._ends.status, READY)

    def close(self) -> None:
        """The server has ended."""
        for watcher in (self._watcher, self._timer):
            watcher.stop()
            watcher.close()

    def has_successor(self) -> bool:
        """Whether somebody serves when this process, which leaves, is gone: always, unless the supervisor ends too."""
        self._leave()
        if self._ending:
            return False
        try:
            messages = os.read(self._ends.control, PIPE_SIZE)
        except BlockingIOError:
            tell(self._ends.status, LEAVING)  # the signal was not the supervisor's, which has to know
            return True
        return bool(messages) and ENDING not in messages

    def _on_control(self) -> None:
        with suppress(BlockingIOError):
            messages = os.read(self._ends.control, PIPE_SIZE)
            if not messages:
                self._watcher.stop()
                self._ending = True
                log.warning("the supervisor is gone")
                self._leave()
                self._life.signalled(signal.SIGTERM)
            elif ENDING in messages:
                self._ending = True  # its signal follows
            elif SUCCEEDED in messages:
                self._leave()
                self._life.succeed()

    def _leave(self) -> None:
        self._has_left = True
        self._board.clear(self._ends.place)

    def _beat(self) -> None:
        """On the hub, which therefore turns."""
        tell(self._ends.status, TURNING)
        if self._server.started:
            self._post()
        self._recycling = self._recycling or self._has_reached_a_limit()
        if self._recycling:  # again and again: the successor may fail to start
            tell(self._ends.status, RECYCLE)

    def _has_reached_a_limit(self) -> bool:
        requests = self._server.statistics().requests
        if self._most_requests and requests >= self._most_requests:
            log.info("%d requests served: a successor is wanted", requests)
            return True
        if self._most_memory and (memory := resident_bytes()) >= self._most_memory:
            log.info("%d MiB of memory: a successor is wanted", memory // KIB**2)
            return True
        return False

    def _post(self) -> None:
        if not self._has_left:  # others would leave connections to one that may accept no more
            self._board.post(self._ends.place, self._server.statistics().connections)

    def _share(self) -> int | None:
        self._post()
        return self._board.share(self._ends.place)
