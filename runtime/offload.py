"""Runs calls that would block the hub on native threads, while the greenlets that made them wait.

A pool of its own, apart from gevent's, which resolves names: look-ups must not queue behind slow queries. One queue
leads to the threads; what they have finished comes back through one deque and one watcher for each hub, so that many
calls that end together cost one wake-up.

Rules:
- A call that runs is never interrupted, since what it works on (a connection's C structures) is in use until it
  returns. A greenlet that is killed or times out meanwhile sees that when the call has ended; if both, the kill.
- A thread lets go of a call's function and arguments before it says that the call has ended: otherwise it could be
  the one to free a connection, at the same time as the next call on it.
- Where there is nothing to yield to, the call is a plain call: in the hub itself, in a native thread, before there is a
  hub, and when the interpreter ends, where threads run no more. So it is within a call on one of these threads, even
  where what was called there has made a hub (`time.sleep` does), and where there is no thread and none can be had: the
  system has none left, or the interpreter (3.12) starts none since it runs what `atexit` was given.
"""

from __future__ import annotations

import os
from _queue import SimpleQueue
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from sys import is_finalizing
from typing import Any, Final, ParamSpec, TypeVar

from gevent import GreenletExit, getcurrent
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub
from gevent.lock import BoundedSemaphore
from gevent.monkey import get_original
from greenlet import greenlet

from . import limits
from .errors import OffloadQueueFull

P = ParamSpec("P")
T = TypeVar("T")

start_new_thread: Final[Callable[..., int]] = get_original("_thread", "start_new_thread")


class ThisThread(get_original("_thread", "_local")):  # type: ignore[misc]
    """What is known of each native thread."""

    makes_calls = False


this_thread: Final = ThisThread()


@dataclass(frozen=True, slots=True)
class OffloadStatistics:
    """Threads that exist, calls that run, calls that wait for a thread, and calls that have ended since the start."""

    threads: int
    running: int
    queued: int
    finished: int


class Call:
    """One call: what it takes and, once it has ended, what it gave."""

    __slots__ = ("arguments", "context", "done", "error", "function", "keywords", "result", "returns", "waiter")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
        context: Context,
        returns: Returns,
        waiter: greenlet,
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.keywords = keywords
        self.context = context
        self.returns = returns
        self.waiter = waiter
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the call, on a native thread."""
        try:
            self.result = self.context.run(self.function, *self.arguments, **self.keywords)
        except BaseException as error:
            trace = error.__traceback__
            self.error = error.with_traceback(trace and trace.tb_next)  # our frame has what the caller may want freed
        del self.function, self.context, self.arguments, self.keywords


class Returns:
    """The way back to one hub."""

    def __init__(self, hub: Hub) -> None:
        self._ended: deque[Call] = deque()
        self._watcher = hub.loop.async_(ref=False)
        self._watcher.start(self._deliver)
        self._pending = 0

    def expect(self) -> None:
        """A call is on its way: the hub has something to wait for."""
        if not self._pending:
            self._watcher.ref = True
        self._pending += 1

    def ended(self, call: Call) -> None:
        """A call has ended. The only method for other threads."""
        self._ended.append(call)
        with suppress(ValueError):  # the hub has been destroyed, and nobody waits any more
            self._watcher.send()

    def take_ended(self) -> int:
        """How many calls have ended whose results nobody has taken: those of a hub that has been destroyed."""
        taken = 0
        with suppress(IndexError):
            while True:
                self._ended.popleft()
                taken += 1
        self._pending -= taken
        return taken

    @property
    def is_expecting(self) -> bool:
        """Whether calls have not ended."""
        return self._pending > 0

    def _deliver(self) -> None:
        ended = self._ended
        try:
            for _ in range(len(ended)):  # what ends meanwhile is for the hub's next turn: others have theirs between
                call = ended.popleft()
                self._pending -= 1
                call.done = True
                call.waiter.switch()
        finally:  # a raw greenlet's error comes up here
            if ended:
                self._watcher.send()
            elif not self._pending:
                self._watcher.ref = False


class Offload:
    """A pool of native threads that grows with what is asked of it, up to `threads`; `queue` calls more may wait."""

    def __init__(self, threads: int = limits.OFFLOAD_THREADS, queue: int = limits.OFFLOAD_QUEUE) -> None:
        self.threads = threads
        self.queue = queue
        self.forget()

    def forget(self) -> None:
        """Begin anew, without threads: in a forked child there are none."""
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._returns: dict[Hub, Returns] = {}
        self._started = self._begun = self._ended = 0

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` on a native thread and return what it returns; other greenlets run meanwhile.

        For calls that compute, or wait in C, and let other threads run: `hublet.offload(image.resize, (640, 480))`.
        It sees a copy of the caller's context variables. Raises what it raises, OffloadQueueFull if too many calls wait
        already, or, once it has ended, what was thrown at the greenlet meanwhile (GreenletExit, gevent.Timeout), and
        then its result is lost.
        """
        hub = hub_to_yield_to()
        if hub is None:
            return function(*args, **kwargs)
        unfinished = self._begun - self._ended
        if unfinished >= self._started and self._started < self.threads:
            if not self._start_thread():
                return function(*args, **kwargs)
        elif unfinished >= self.threads + self.queue and not self._forget_dead_hubs():
            raise OffloadQueueFull(self.threads, self.queue)
        returns = self._returns.get(hub) or self._returns_of(hub)
        call = Call(function, args, kwargs, copy_context(), returns, getcurrent())
        self._begun += 1
        returns.expect()
        self._calls.put(call)
        thrown: BaseException | None = None
        while not call.done:
            try:
                hub.switch()
            except BaseException as error:
                thrown = to_be_seen(thrown, error)
        self._ended += 1
        # The thread may hold the call for a moment more, and must not be the one that frees the result.
        result, failure, call.result, call.error = call.result, call.error, None, None
        try:
            if thrown is not None:
                raise thrown
            if failure is not None:
                raise failure
            return result  # type: ignore[no-any-return]
        finally:
            thrown = failure = None  # their tracebacks refer to this frame

    def statistics(self) -> OffloadStatistics:
        """Return the present counters."""
        self._forget_dead_hubs()
        unfinished = self._begun - self._ended
        running = min(unfinished, self._started)
        return OffloadStatistics(self._started, running, unfinished - running, self._ended)

    def _returns_of(self, hub: Hub) -> Returns:
        self._forget_dead_hubs()
        self._returns[hub] = returns = Returns(hub)
        return returns

    def _forget_dead_hubs(self) -> int:
        """Take note of calls that have ended for hubs that have been destroyed, where nobody waits; say how many."""
        taken = 0
        for hub, returns in list(self._returns.items()):
            if hub.dead:
                taken += returns.take_ended()
                if not returns.is_expecting:
                    self._returns.pop(hub, None)
        self._ended += taken
        return taken

    def _start_thread(self) -> bool:
        """Start one more, if it can be had; say whether there is any, which will come to the call."""
        self._started += 1
        try:
            start_new_thread(work, (self._calls,))
        except RuntimeError:
            self._started -= 1
        return self._started > 0


def may_yield() -> bool:
    """Whether other greenlets of this thread can run while this one waits.

    They can within a call on one of our threads, too, once what was called has made a hub: they may be what it waits
    for, such as the greenlet that fills a `multiprocessing.Queue`.
    """
    hub = get_hub_if_exists()
    return hub is not None and not is_finalizing() and getcurrent() is not hub


def hub_to_yield_to() -> Hub | None:
    """The hub that may wait for a call on another thread: of a greenlet that is not the hub, on no thread of ours."""
    return get_hub_if_exists() if may_yield() and not this_thread.makes_calls else None


def has_hub_to_yield_to() -> bool:
    """Whether a call here may be made on another thread meanwhile."""
    return hub_to_yield_to() is not None


def to_be_seen(thrown: BaseException | None, error: BaseException) -> BaseException:
    """Which of what is thrown at a greenlet in a call it sees: the first, but a kill always, which comes only once."""
    return error if thrown is None or isinstance(error, GreenletExit) else thrown


class Lane:
    """Calls of which one runs at a time, in their order: those on one connection, whose C structures no two may use."""

    __slots__ = ("_free", "_hub_is_inside", "_pool")

    def __init__(self, pool: Offload | None = None) -> None:
        self._pool = POOL if pool is None else pool
        self._free = BoundedSemaphore(1)
        self._hub_is_inside = False

    @property
    def is_busy(self) -> bool:
        """Whether a call runs."""
        return bool(self._free.locked())

    def __enter__(self) -> None:
        """Take the lane for a wait on the hub itself, not on a thread: `with lane:`, then as for `call`."""
        if not self._free.acquire(blocking=getcurrent() is not get_hub_if_exists()):
            raise RuntimeError("a connection is waited for on the hub while a call on it runs")

    def __exit__(self, *error: object) -> None:
        self._free.release()

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `Offload.call`, after the calls before it. Raises RuntimeError on the hub, which cannot wait, if one runs.

        On a thread without a hub, or of the pool's, where a callback of the library's may come from within a call, it
        does not wait.
        """
        hub = get_hub_if_exists()
        if hub is None or this_thread.makes_calls or is_finalizing():
            return function(*args, **kwargs)
        if getcurrent() is hub:
            return self._call_on_hub(function, *args, **kwargs)
        self._free.acquire()
        try:
            return self._pool.call(function, *args, **kwargs)
        finally:
            self._free.release()

    def _call_on_hub(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._hub_is_inside:  # a call within a call
            return function(*args, **kwargs)
        if not self._free.acquire(blocking=False):
            raise RuntimeError(f"{function!r} is called on the hub while another call on its connection runs")
        self._hub_is_inside = True
        try:
            return function(*args, **kwargs)
        finally:
            self._hub_is_inside = False
            self._free.release()


def work(calls: SimpleQueue[Call]) -> None:
    """What a native thread does, for as long as the process lives."""
    this_thread.makes_calls = True
    while True:
        call = calls.get()
        call.run()
        call.returns.ended(call)
        del call


#: The pool of this process.
POOL: Final = Offload()
offload = POOL.call
os.register_at_fork(after_in_child=POOL.forget)
