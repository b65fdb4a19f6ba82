"""asyncio in greenlets: each greenlet has a running event loop of its own, and waits for it on the hub.

CPython keeps the running loop for each native thread, so a second `asyncio.run` on the hub's thread is refused. Here it
is kept for each greenlet, and CPython's own notion stays empty. The functions that ask for it are replaced; tasks and
futures stay the compiled ones, which ask only where a loop is not passed to them (`asyncio.Future()` in a coroutine).
Finding none, they ask the policy, which knows the greenlet's. From 3.14 on CPython refuses to run a task whose loop is
not the thread's: there its notion is kept, too, from the end of each wait to the beginning of the next, and is wrong
after a callback has blocked, say by `time.sleep`, while another greenlet's loop has turned.

The hooks for asynchronous generators are the thread's, too: each loop sets its own after each wait.

The loops' selectors, sockets and threads need nothing: gevent's are in their place.
"""

from __future__ import annotations

import asyncio.events
import os
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Final

from gevent import getcurrent
from greenlet import greenlet

RUNNING: Final[dict[greenlet, AbstractEventLoop]] = {}
# CPython's own: of the native thread.
set_in_thread: Final[Callable[[AbstractEventLoop | None], None]] = asyncio.events._set_running_loop
IS_ALSO_IN_THREAD: Final = sys.version_info >= (3, 14)

os.register_at_fork(after_in_child=RUNNING.clear)


def get_running_or_none() -> AbstractEventLoop | None:
    """The loop that runs in this greenlet (`asyncio._get_running_loop`)."""
    return RUNNING.get(getcurrent())


def set_running(loop: AbstractEventLoop | None) -> None:
    """A loop begins or ends to run in this greenlet (`asyncio._set_running_loop`)."""
    if loop is None:
        RUNNING.pop(getcurrent(), None)
    else:
        RUNNING[getcurrent()] = loop
    if IS_ALSO_IN_THREAD:
        set_in_thread(loop)


def get_running_loop() -> AbstractEventLoop:
    """The loop that runs in this greenlet. Raises RuntimeError without one."""
    loop = RUNNING.get(getcurrent())
    if loop is None:
        raise RuntimeError("no running event loop")
    return loop


def get_event_loop(stacklevel: int = 3) -> AbstractEventLoop:
    """The loop that runs in this greenlet, or else the one that the policy has for it."""
    loop = RUNNING.get(getcurrent())
    return asyncio.events.get_event_loop_policy().get_event_loop() if loop is None else loop


def running_or_set(get_event_loop: Callable[[Any], AbstractEventLoop]) -> Callable[[Any], AbstractEventLoop]:
    """`get_event_loop` of the policies: the loop that runs in this greenlet, or else the one that was set for it."""

    def get_event_loop_here(self: Any) -> AbstractEventLoop:
        loop = RUNNING.get(getcurrent())
        return get_event_loop(self) if loop is None else loop

    return get_event_loop_here


def can_use_pidfd() -> bool:
    """No: gevent takes note of every child that ends, and a descriptor for one that is gone cannot be had."""
    return False


def with_running_loop(current_task: Callable[..., Any]) -> Callable[..., Any]:
    """`asyncio.current_task`, told which loop is meant."""

    def current_task_here(loop: AbstractEventLoop | None = None) -> Any:
        return current_task(get_running_loop() if loop is None else loop)

    return current_task_here


def leaving_the_thread(run_once: Callable[[Any], None]) -> Callable[[Any], None]:
    """One turn of a loop, after which the thread is free for the loops of other greenlets."""

    def turn(self: Any) -> None:
        try:
            run_once(self)
        finally:
            set_in_thread(None)

    return turn


def taking_the_thread(process_events: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """What a loop does first after each wait: callbacks follow, which may begin asynchronous generators."""

    def process(self: Any, events: Any) -> None:
        sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)
        if IS_ALSO_IN_THREAD:
            set_in_thread(self)
        process_events(self, events)

    return process


def leaving_no_hooks(run_forever: Callable[[Any], None]) -> Callable[[Any], None]:
    """What a loop does from its start to its stop, when it restores the hooks that were there: none of another loop."""

    def run(self: Any) -> None:
        if isinstance(getattr(sys.get_asyncgen_hooks().firstiter, "__self__", None), AbstractEventLoop):
            sys.set_asyncgen_hooks(None, None)
        run_forever(self)

    return run
