"""Gives an application that takes over a connection with TLS a socket without: two greenlets carry the bytes across.

Libraries that speak WebSocket themselves want a real socket, which they select on and close. Only for them a connection
takes greenlets while it waits.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import gevent
from gevent import socket

from ...runtime import limits


class Wire(Protocol):
    """The connection with TLS. Both methods wait, and raise OSError when the peer is gone."""

    def read(self) -> bytes:
        """What arrives next, or nothing at the peer's end."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        ...


class Relay:
    """The two directions between `wire` and `socket`, which is the application's."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.socket, self._inner = socket.socketpair()
        self._inbound = gevent.spawn(self._carry_in)
        self._outbound = gevent.spawn(self._carry_out)

    def finish(self) -> None:
        """The application is done: send what it has written, and end. Waits for that, within the write timeout."""
        with suppress(OSError):  # it has closed its socket
            self.socket.shutdown(socket.SHUT_RDWR)
        try:
            self._outbound.join()
        finally:
            for direction in (self._inbound, self._outbound):
                direction.kill(block=False)
            self._inner.close()

    def _carry_in(self) -> None:
        with suppress(OSError):  # one of the two is gone
            while data := self.wire.read():
                self._inner.sendall(data)
        with suppress(OSError):
            self._inner.shutdown(socket.SHUT_WR)

    def _carry_out(self) -> None:
        with suppress(OSError):
            while data := self._inner.recv(limits.RECV_SIZE):
                self.wire.write(data)
