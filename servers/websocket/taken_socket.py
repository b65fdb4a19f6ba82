"""The socket of a request for libraries that speak WebSocket themselves, such as simple-websocket.

The environ carries it for every WebSocket request. Its first use takes the connection away from the server, whose own
handshake is then not sent; before that it costs and does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gevent.socket

    from .opening import Opening


class TakenSocket:
    """A stand-in for the connection's socket, with everything a `gevent.socket.socket` has."""

    def __init__(self, opening: Opening) -> None:
        self._opening: Opening | None = opening
        self._taken: gevent.socket.socket | None = None
        self._unread = b""

    def _take(self) -> gevent.socket.socket:
        if self._taken is None:
            if self._opening is None:
                raise OSError("the socket is closed")
            self._taken, self._unread = self._opening.take_socket()
            self._opening = None
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
        """Everything else is the socket's own."""
        return getattr(self._take(), name)
