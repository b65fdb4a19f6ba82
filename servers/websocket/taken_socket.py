"""The socket of a request for libraries that speak WebSocket themselves, such as simple-websocket.

The environ carries it for every WebSocket request. Its first use takes the connection away from the server, whose own
handshake is then not sent; before that it costs and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent.socket


class TakenSocket:
    """A stand-in for the connection's socket, with everything a `gevent.socket.socket` has.

    `take` takes the connection, and returns its socket and what has been received already.
    """

    def __init__(self, take: Callable[[], tuple[gevent.socket.socket, bytes]]) -> None:
        self._take_it = take
        self._taken: gevent.socket.socket | None = None
        self._unread = b""

    def _take(self) -> gevent.socket.socket:
        if self._taken is None:
            self._taken, self._unread = self._take_it()
        return self._taken

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive up to `size` bytes, first those that had arrived before the socket was taken."""
        taken = self._take()
        if self._unread and size > 0:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        received: bytes = taken.recv(size, flags)
        return received

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """Receive into `buffer`, first what had arrived before the socket was taken."""
        taken = self._take()
        if self._unread:
            data = self.recv(size or len(buffer))
            memoryview(buffer)[: len(data)] = data
            return len(data)
        received: int = taken.recv_into(buffer, size, flags)
        return received

    def __getattr__(self, name: str) -> Any:
        """Everything else is the socket's own, but for what copiers and formatters of any object look for."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._take(), name)
