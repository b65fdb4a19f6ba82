"""Accepts connections from one listening socket and hands them to its endpoint.

Accepting pauses when the engine is full and none of its connections has been idle for a while, until there is room,
and when the process or the machine has run out of descriptors: what waits stays in the kernel's backlog. Nothing here
spins.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from ..runtime import limits
from ..runtime.io_events import READ
from .http1.endpoint import Endpoint

NO_ROOM = -1
EXHAUSTED = (errno.EMFILE, errno.ENFILE)
# What says that the listening socket itself is of no use any more. Everything else passes: a lack of memory, or what
# accept(2) reports of the network or the firewall on behalf of the connection that it would have returned.
FATAL = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)


class Acceptor:
    """The accepting side of one listening socket. `report` is called with a line of text when something goes wrong.

    `share()`, if other processes accept from the same socket, says how many connections are ours: None for any number.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        listener: socket.socket,
        loop: Any,
        report: Callable[[str], Any],
        share: Callable[[], int | None] | None = None,
    ):
        self._endpoint = endpoint
        self._listener = listener
        self._report = report
        self._loop = loop
        self._watcher = loop.io(listener.fileno(), READ)
        self._share = share
        self._yielded = False
        self._pause: Any = None
        self._troubled = False

    def start(self) -> None:
        """Accept from now on, as far as there is room."""
        self._end_pause()
        self._watcher.start(self._on_connection)

    def stop(self) -> None:
        """Accept no more; the listening socket stays open."""
        self._end_pause()
        self._watcher.stop()
        self._watcher.close()

    def _on_connection(self) -> None:
        batch = limits.ACCEPT_BATCH if self._share is None else self._batch(self._share())
        if batch == 0:
            self._pause_for(limits.TURN_PAUSE)
            return
        error = self._endpoint.accept(self._listener.fileno(), batch)
        if error == 0:
            self._troubled = False
        elif error == NO_ROOM:
            self._pause_for(limits.ACCEPT_PAUSE)  # or until the server starts us again
        elif error in FATAL:
            self._watcher.stop()
            self._report(f"accepting has ended: {os.strerror(error)} on the listening socket")
        else:
            self._pause_for(limits.ACCEPT_PAUSE)
            if not self._troubled:
                self._troubled = True
                remedy = "raise the descriptor limit (ulimit -n)" if error in EXHAUSTED else "it goes on by itself"
                count = self._endpoint.engine.open_connections
                self._report(f"accepting pauses: {os.strerror(error)} with {count} connections open; {remedy}")

    def _batch(self, share: int | None) -> int:
        """How many connections to accept now. Those that nobody has taken in our pause are ours, one at a time."""
        if share is None:
            return limits.ACCEPT_BATCH
        self._yielded = share == 0 and not self._yielded
        return 0 if self._yielded else min(max(share, 1), limits.ACCEPT_BATCH)

    def _pause_for(self, seconds: float) -> None:
        self._watcher.stop()
        self._pause = self._loop.timer(seconds)
        self._pause.start(self.start)

    def _end_pause(self) -> None:
        if self._pause is not None:
            self._pause.stop()
            self._pause.close()
            self._pause = None
