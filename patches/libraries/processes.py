"""multiprocessing and ProcessPoolExecutor: their pipes and semaphores wait on the hub, and a forked child leaves it.

Pools work with threads of their own in the parent, which are greenlets here; what stopped them all was one blocking
read, or one semaphore that only another of them would release.

A forked child has a copy of every greenlet of the parent, and would run them, its server's too, as soon as it waits. So
it begins without a hub: until it makes one, its calls are plain and blocking, as in any process.
"""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists, set_hub, set_loop

from ...runtime.io_events import READ, WRITE
from ...runtime.offload import may_yield, offload
from .descriptors import close_what_is_to_be_closed
from .yielding import retry, wait_until_ready

PROCESS: Final = os.getpid()
RECURSIVE_MUTEX: Final = 0
#: Hubs of the parent: if one were freed, it would run to its end.
left: Final[list[Any]] = []
#: What signals were blocked before a fork that is under way.
masks: Final[list[set[Any]]] = []


def patiently(event: int, call: Callable[[int, Any], Any], fd: int, argument: Any) -> Any:
    """Call and, since gevent's sockets give away descriptors that do not block, wait if need be, and call again."""
    while True:
        try:
            return call(fd, argument)
        except BlockingIOError:
            wait_until_ready(fd, event)


def send(self: Any, buf: Any) -> None:
    """What takes the place of Connection._send, whose os.write is that of the time when it was defined."""
    while len(buf):
        buf = buf[patiently(WRITE, os.write, self._handle, buf) :]


def receive(self: Any, size: int) -> io.BytesIO:
    """What takes the place of Connection._recv. Raises EOFError, or OSError within a message."""
    buffer = io.BytesIO()
    while (remaining := size - buffer.tell()) > 0:
        chunk = patiently(READ, os.read, self._handle, remaining)
        if not chunk:
            if buffer.tell():
                raise OSError("got end of file during message")
            raise EOFError
        buffer.write(chunk)
    return buffer


def make_methods(self: Any) -> None:
    """What takes the place of SemLock._make_methods."""
    semaphore = self._semlock

    def try_to_acquire() -> bool:
        me = getcurrent()
        is_recursive = semaphore.kind == RECURSIVE_MUTEX
        if is_recursive and semaphore._is_mine() and self._owner is not me:
            return False  # to the kernel, all greenlets are one thread
        if not semaphore.acquire(False):
            return False
        self._owner = me if is_recursive else None
        return True

    def acquire(block: bool = True, timeout: float | None = None) -> bool:
        if not may_yield() or is_alone():
            return bool(semaphore.acquire(block, timeout))
        if not block:
            return try_to_acquire()
        until = None if timeout is None else time.monotonic() + timeout

        def attempt() -> bool | None:
            if try_to_acquire():
                return True
            return False if until is not None and time.monotonic() >= until else None

        return retry(attempt)

    self._owner = None
    self.acquire = acquire
    self.release = semaphore.release


def enter(self: Any) -> bool:
    """What takes the place of SemLock.__enter__."""
    return bool(self.acquire())


def beginning(original: Callable[..., int]) -> Callable[..., int]:
    """What takes the place of BaseProcess._bootstrap, which is the first call of a forked child."""

    def _bootstrap(self: Any, parent_sentinel: int | None = None) -> int:
        if os.getpid() != PROCESS:
            leave_hub()
            leave_signals()
            if masks:
                signal.pthread_sigmask(signal.SIG_SETMASK, masks[-1])
        return original(self, parent_sentinel=parent_sentinel)

    return _bootstrap


def launching(original: Callable[..., None]) -> Callable[..., None]:
    """What takes the place of popen_fork.Popen._launch: no signal comes before the child is ready for it."""

    def _launch(self: Any, process_obj: Any) -> None:
        close_what_is_to_be_closed()  # or the child has the ends of its siblings' pipes, too
        # An os.close may let another greenlet run, and launch: the last of them restores what the first has found.
        masks.append(masks[0] if masks else signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()))
        try:
            original(self, process_obj)
        finally:
            before = masks.pop()
            if not masks:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    return _launch


def is_alone() -> bool:
    """Whether this is a forked child in which only one greenlet runs: then the kernel wakes it sooner than a retry."""
    hub = get_hub_if_exists()
    return bool(left) and hub is not None and not hub.loop.activecnt and not hub.loop.pendingcnt


def leave_hub() -> None:
    """Have nothing to do with the greenlets of the parent."""
    hub = get_hub_if_exists()
    if hub is not None:
        left.append(hub)
        hub.loop.destroy()
        set_hub(None)
        set_loop(None)


def leave_signals() -> None:
    """Have the handlers that tell the parent's server, or its loop, do what they do in any program."""
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if handler is None or (getattr(handler, "__module__", None) or "").partition(".")[0] == "hublet":
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def submitting(original: Callable[..., Any]) -> Callable[..., Any]:
    """What takes the place of ThreadPoolExecutor.submit: its greenlets have native threads make the calls."""

    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return original(self, offload, fn, *args, **kwargs)

    return submit
