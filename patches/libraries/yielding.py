"""What patches of the standard library wait with: readiness, and trying again."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, Final, TypeVar

import gevent
from gevent.hub import get_hub
from gevent.monkey import get_original

from ...runtime.io_events import READ, WRITE
from ...runtime.limits import RETRY_FIRST, RETRY_LONGEST

T = TypeVar("T")

EVENTS: Final = {READ: select.POLLIN, WRITE: select.POLLOUT}
poll: Final[Callable[[], Any]] = get_original("select", "poll")


def is_ready(fd: int, event: int) -> bool:
    """Whether a call would not wait: for files never, nor for what is no descriptor, of which the call complains."""
    poller = poll()
    try:
        poller.register(fd, EVENTS[event])
    except (OSError, OverflowError, TypeError, ValueError):
        return True
    return bool(poller.poll(0))


def wait_until_ready(fd: int, event: int) -> None:
    """Let the hub run until a descriptor is readable or writable."""
    hub = get_hub()
    watcher = hub.loop.io(fd, event)
    try:
        hub.wait(watcher)
    finally:
        watcher.close()


def retry(attempt: Callable[[], T | None]) -> T:
    """Call `attempt` until it returns something else than None, with growing pauses in which the hub runs."""
    pause = RETRY_FIRST
    while (result := attempt()) is None:
        gevent.sleep(pause)
        pause = min(2 * pause, RETRY_LONGEST)
    return result
