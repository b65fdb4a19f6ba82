"""py-amqp on the hub: what is thrown at a greenlet within a call closes the connection.

The broker's reply is still to come then, or part of a frame is lost: the next call would get that reply, and a message
that the broker refused would count as confirmed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Never

from amqp.exceptions import AMQPError, MessageNacked

#: What calls raise themselves; sockets' timeouts and errors, which py-amqp sees to, are OSErrors.
OWN: Final = (AMQPError, MessageNacked, OSError)


class Abandoned:
    """Stands where the socket was. What uses it raises OSError, which kombu takes for recoverable."""

    def __bool__(self) -> bool:
        return False

    def fileno(self) -> int:
        """Return what closed sockets return."""
        return -1

    def gettimeout(self) -> None:
        """There is none."""

    def settimeout(self, timeout: float | None) -> None:
        """Nothing to set."""

    def close(self) -> None:
        """It is."""

    def _refuse(self, *args: Any) -> Never:
        raise OSError(errno.EBADF, f"{os.strerror(errno.EBADF)}: closed, as a call was interrupted before its end")

    read = recv = sendall = shutdown = unwrap = write = _refuse


def abandon(transport: Any) -> None:
    """Close a connection's socket without another word. Later calls raise OSError."""
    if transport is not None and transport.sock is not None:
        transport.sock.close()
        transport.sock = Abandoned()
        transport._quick_recv = transport.sock.recv
        transport.connected = False


def reading(original: Callable[..., Any]) -> Callable[..., Any]:
    """A transport's `_read`: what is read of a frame's header is kept, of the rest it is lost."""

    @wraps(original)
    def _read(self: Any, n: int, initial: bool = False, *args: Any) -> Any:
        try:
            return original(self, n, initial, *args)
        except OWN:
            raise
        except BaseException:
            if not initial:
                abandon(self)
            raise

    return _read


def writing(original: Callable[..., Any]) -> Callable[..., Any]:
    """A transport's `write`: part of a frame may have been sent."""

    @wraps(original)
    def write(self: Any, s: Any) -> None:
        try:
            original(self, s)
        except OWN:
            raise
        except BaseException:
            abandon(self)
            raise

    return write


def collecting(original: Callable[..., Any]) -> Callable[..., Any]:
    """A connection's `connect`, or a `wait` for the broker's reply, of a connection or a channel."""

    @wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        except OWN:
            raise
        except BaseException:
            connection = self.connection
            if connection is not None:
                abandon(connection._transport)
                connection.collect()
            raise

    return call
