"""ZeroMQ's own classes for gevent, which keep the time limits of sockets here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import zmq
from zmq import Context as original_context
from zmq import Poller as original_poller
from zmq import Socket as original_socket
from zmq.green.core import _Context, _Socket
from zmq.green.poll import _Poller

from ...runtime.io_events import READ
from ...runtime.offload import has_hub_to_yield_to

__all__ = ["Context", "Poller", "Socket"]

TIME_LIMITS = (zmq.RCVTIMEO, zmq.SNDTIMEO)


class Looking(original_poller):
    """ZeroMQ's poll, which takes the news of a socket from those who wait on it: they are told."""

    def poll(self, timeout: Any = None) -> Any:
        """Return what is ready."""
        events = super().poll(timeout)
        for socket, _ in self.sockets:
            if isinstance(socket, Socket):
                socket._tell()
        return events


class Poller(_Poller, Looking):
    """A poller whose `poll` lets other greenlets run."""


class Socket(_Socket):
    """A socket whose `send` and `recv` let other greenlets run.

    RCVTIMEO and SNDTIMEO hold: `zmq.Again` is raised after as many milliseconds. On the hub itself it blocks.

    Its descriptor is watched only while a greenlet waits. pyzmq's class watches from the start, and so keeps watching
    the descriptor of a socket that is closed under a shadow of it; libev ends the process then. Most calls take what
    the descriptor tells (zmq_getsockopt(3), ZMQ_FD), so that they tell who waits.
    """

    _poller_class = Poller
    _waiting = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._state_event.stop()

    def __class_getitem__(cls, kind: Any) -> Any:
        """Return what zmq.asyncio derives its own sockets from: the original."""
        return original_socket[kind]

    def get(self, option: int) -> Any:
        """Return a socket option."""
        return original_socket.get(self, option) if option in TIME_LIMITS else super().get(option)

    def set(self, option: int, value: Any) -> None:
        """Set a socket option."""
        if option in TIME_LIMITS:
            original_socket.set(self, option, value)
        else:
            super().set(option, value)

    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        """Receive a message."""
        return self._within(zmq.RCVTIMEO, "recv", flags, flags, copy, track)

    def recv_into(self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0) -> Any:
        """Receive a message into a buffer; return its length."""
        return self._within(zmq.RCVTIMEO, "recv_into", flags, buffer, nbytes=nbytes, flags=flags)

    def send(self, data: Any, flags: int = 0, copy: bool = True, track: bool = False, **kwargs: Any) -> Any:
        """Send a message."""
        return self._within(zmq.SNDTIMEO, "send", flags, data, flags, copy, track, **kwargs)

    def bind(self, addr: str) -> Any:
        """Listen at an address."""
        return self._telling("bind", addr)

    def connect(self, addr: str) -> Any:
        """Connect to an address."""
        return self._telling("connect", addr)

    def unbind(self, addr: str) -> None:
        """Listen at an address no more."""
        self._telling("unbind", addr)

    def disconnect(self, addr: str) -> None:
        """Disconnect from an address."""
        self._telling("disconnect", addr)

    def _telling(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(original_socket, name)(self, *args, **kwargs)
        finally:
            self._tell()

    def _tell(self) -> None:
        if self._waiting:
            self._Socket__state_changed()  # a private name of _Socket's

    def _wait_read(self) -> None:
        with self._watched():
            super()._wait_read()

    def _wait_write(self) -> None:
        with self._watched():
            super()._wait_write()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        event, loop = self._state_event, gevent.get_hub().loop
        if not self._waiting:
            if event.loop is not loop:  # made under another hub, as in another native thread
                event = self._state_event = loop.io(self.getsockopt(zmq.FD), READ)
            event.start(self._Socket__state_changed)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                event.stop()

    def _within(self, limit: int, name: str, flags: int, /, *args: Any, **kwargs: Any) -> Any:
        if not has_hub_to_yield_to():
            return self._telling(name, *args, **kwargs)
        milliseconds = -1 if flags & zmq.DONTWAIT else self.get(limit)
        if milliseconds < 0:
            return getattr(super(), name)(*args, **kwargs)
        with gevent.Timeout(milliseconds / 1000, False):
            return getattr(super(), name)(*args, **kwargs)
        raise zmq.Again


class Context(_Context):
    """A context that makes such sockets."""

    _socket_class = Socket
    _instance = None

    def __class_getitem__(cls, kind: Any) -> Any:
        """Return what zmq.asyncio derives its own context from: the original."""
        return original_context[kind]
