"""pycurl's `perform` by libcurl's multi interface: its sockets and its timer wait on the hub, its callbacks run here.

Each handle has a multi handle of its own, which keeps the connections that it may use again.
"""

from __future__ import annotations

import io
import time
from typing import Any

import pycurl
from gevent import get_hub
from gevent.event import Event
from gevent.select import select

from ...runtime.offload import has_hub_to_yield_to, offload

original_multi = pycurl.CurlMulti
PROGRESS = 1.0  # seconds without an event after which libcurl reports the progress all the same
READ, WRITE = 1, 2  # of the loop's watchers; libcurl's POLL_IN and POLL_OUT are the same bits


class Transfers:
    """A multi handle whose sockets and timer are watched by the hub, and which the calling greenlet drives."""

    def __init__(self) -> None:
        self._multi = original_multi()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._watchers: dict[int, Any] = {}
        self._ready: dict[int, int] = {}
        self._wake = Event()
        self._deadline: float | None = None
        self._acts = False

    def perform(self, handle: Any) -> None:
        """Make one transfer. Raises pycurl.error; ends the transfer if its greenlet is killed."""
        self._multi.add_handle(handle)
        try:
            self._act(pycurl.SOCKET_TIMEOUT, 0)
            while (outcome := self._outcome()) is None:
                self._wait()
            if outcome:
                raise pycurl.error(*outcome)
        finally:
            self._multi.remove_handle(handle)
            self._stop_watching()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._multi.close()

    def _outcome(self) -> tuple[Any, ...] | None:
        """What came of the transfer: None while it runs, empty if it was made, else libcurl's code and message."""
        _, made, failed = self._multi.info_read()
        if failed:
            return tuple(failed[0][1:])
        return () if made else None

    def _wait(self) -> None:
        """Wait for a socket or the timer, and let libcurl do what is due."""
        left = PROGRESS if self._deadline is None else self._deadline - time.monotonic()
        if not self._ready and not self._wake.wait(max(0.0, min(PROGRESS, left))):
            if left < PROGRESS:
                self._deadline = None
                self._act(pycurl.SOCKET_TIMEOUT, 0)
            else:
                self._multi.socket_all()
        self._wake.clear()
        while self._ready:
            self._act(*self._ready.popitem())

    def _act(self, descriptor: int, events: int) -> None:
        self._acts = True
        try:
            self._multi.socket_action(descriptor, events)
        finally:
            self._acts = False

    def _watch(self, what: int, descriptor: int, multi: Any, data: Any) -> None:
        """Called by libcurl: watch a descriptor for this, or no more."""
        if (watcher := self._watchers.pop(descriptor, None)) is not None:
            watcher.stop()
            watcher.close()
        self._ready.pop(descriptor, None)
        if what in (pycurl.POLL_IN, pycurl.POLL_OUT, pycurl.POLL_INOUT):
            self._watchers[descriptor] = watcher = get_hub().loop.io(descriptor, what)
            watcher.start(self._became_ready, descriptor, pass_events=True)

    def _became_ready(self, events: int, descriptor: int) -> None:
        selected = (pycurl.CSELECT_IN if events & READ else 0) | (pycurl.CSELECT_OUT if events & WRITE else 0)
        self._ready[descriptor] = self._ready.get(descriptor, 0) | selected
        self._wake.set()

    def _set_timer(self, milliseconds: int) -> None:
        """Called by libcurl, also when somebody else ends a pause."""
        self._deadline = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000
        if not self._acts:
            self._wake.set()

    def _stop_watching(self) -> None:
        for watcher in self._watchers.values():
            watcher.stop()
            watcher.close()
        self._watchers.clear()
        self._ready.clear()


class Curl(pycurl.Curl):
    """The handle that `pycurl.Curl()` makes."""

    def __init__(self) -> None:
        super().__init__()
        self.transfers: Transfers | None = None
        self.only_connects = False

    def __exit__(self, *error: object) -> None:
        self.close()

    def perform(self) -> None:
        """Make the transfer. Other greenlets run meanwhile."""
        if not has_hub_to_yield_to():
            super().perform()
        elif self.only_connects:  # the connection is to be used afterwards, and a multi handle would close it
            offload(super().perform)
        else:
            self.transfers = self.transfers or Transfers()
            self.transfers.perform(self)

    def perform_rb(self) -> bytes:
        """Make the transfer and return the body."""
        body = io.BytesIO()
        self.setopt(pycurl.WRITEDATA, body)
        self.perform()
        return body.getvalue()

    def perform_rs(self) -> str:
        """Make the transfer and return the body as text."""
        return self.perform_rb().decode()

    def setopt(self, option: int, value: Any) -> Any:
        """Set an option of the transfer."""
        if option == pycurl.CONNECT_ONLY:
            self.only_connects = bool(value)
        return super().setopt(option, value)

    def duphandle(self) -> Curl:
        """Return another handle with the same options."""
        duplicate: Curl = super().duphandle()
        duplicate.transfers, duplicate.only_connects = None, self.only_connects
        return duplicate

    def reset(self) -> Any:
        """Set every option to its default."""
        self.only_connects = False
        return super().reset()

    def close(self) -> Any:
        """Close the handle and its connections."""
        super().close()
        if self.transfers is not None:
            self.transfers.close()
            self.transfers = None


class CurlMulti(original_multi):
    """The multi handle that applications drive themselves: its `select` waits on the hub.

    `close_handles` is done here: the original has it for its very own class only.
    """

    def __init__(self, *, close_handles: bool = False) -> None:
        super().__init__()
        self.closed_with_it: dict[int, Any] | None = {} if close_handles else None

    def __exit__(self, *error: object) -> None:
        self.close()

    def add_handle(self, handle: Any) -> Any:
        """Have a transfer made."""
        result = super().add_handle(handle)
        if self.closed_with_it is not None:
            self.closed_with_it[id(handle)] = handle
        return result

    def remove_handle(self, handle: Any) -> Any:
        """Have it made no more."""
        result = super().remove_handle(handle)
        if self.closed_with_it is not None:
            self.closed_with_it.pop(id(handle), None)
        return result

    def close(self) -> None:
        """Close the connections, and the handles if they are to be closed too."""
        super().close()
        while self.closed_with_it:
            self.closed_with_it.popitem()[1].close()

    def select(self, timeout: float) -> int:
        """Wait until a descriptor is ready, `timeout` seconds at most; return how many are."""
        reading, writing, failing = self.fdset()
        if not has_hub_to_yield_to() or not (reading or writing or failing):
            return int(super().select(timeout))
        return sum(map(len, select(reading, writing, failing, timeout)))
