"""gunicorn's master, patched: it keeps what it waits for its workers with.

Patching in the master is what makes a preloaded application cooperate, and what comes before anybody else's import.
But the master learns of its workers' ends by the interpreter's own fork, waitpid and signal: it keeps those, and a
worker puts gevent's back when it has been forked. And it waits for signals in C, where no hub turns: it is given a
queue that waits in the hub, since gunicorn's control socket is served by what has become a greenlet.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from gevent import monkey
from gevent.queue import SimpleQueue
from gunicorn.arbiter import Arbiter

from ...patches.gevent_websocket import SERVERS
from ...patches.patching import patch_all
from ...patches.replacement import Patch, Replacement
from ...patches.stdlib import patch_standard_library

OWN: Final = ((os, ("fork", "forkpty", "waitpid")), (signal, ("signal", "getsignal", "set_wakeup_fd")))
# What gevent had put in their place: module, name, function.
taken_back: list[tuple[ModuleType, str, Any]] = []

MASTER_WAIT: Final = Patch(
    name="gunicorn-master",
    why="the hub turns while gunicorn's master waits for signals",
    replacements=(
        Replacement("gunicorn.arbiter:Arbiter.wait_for_signals", "hublet.servers.gunicorn.master:wait_for_signals"),
    ),
)


def patch_master() -> tuple[str, ...]:
    """Patch the standard library, except for what the master's loop needs; do nothing where that was done before.

    Where gunicorn's configuration file has patched, everything stays as it has. Returns the warnings of the patching.
    """
    SERVERS.apply()  # before the application imports what this replaces
    if monkey.is_module_patched("socket"):
        return ()
    warnings = patch_standard_library()
    for module, names in OWN:
        for name in names:
            if monkey.is_object_patched(module.__name__, name):
                taken_back.append((module, name, getattr(module, name)))
                setattr(module, name, monkey.get_original(module.__name__, name))
    if hasattr(Arbiter, "wait_for_signals"):  # an older one waits for a pipe, which is patched
        MASTER_WAIT.apply()
    return warnings


def patch_worker() -> tuple[str, ...]:
    """In a forked worker: put gevent's functions in their places, and patch libraries. Returns what stays blocking.

    Not in the master, where a library's wait would turn the hub. What it has preloaded is patched here.
    """
    while taken_back:
        module, name, function = taken_back.pop()
        setattr(module, name, function)
    return patch_all()


def wait_for_signals(arbiter: Any, timeout: float = 1.0) -> Any:
    """gunicorn's own, on a queue that waits in the hub."""
    queue = arbiter.SIG_QUEUE
    if not isinstance(queue, SimpleQueue):
        arbiter.SIG_QUEUE = SimpleQueue()  # first, since a signal may come at any time
        while not queue.empty():
            arbiter.SIG_QUEUE.put(queue.get())
    original = MASTER_WAIT.placed[0].original
    return original(arbiter, timeout)


def signals_since_fork(handler: Any) -> Iterator[int]:
    """In a worker: what the master's `handler` of signals has queued, which was the worker's until it had its own."""
    queue = getattr(getattr(handler, "__self__", None), "SIG_QUEUE", ())
    if isinstance(queue, (list, tuple)):  # an older gunicorn's
        yield from queue
    else:
        while not queue.empty():
            yield queue.get()
