"""Which SQLite statements have proved long, and how those run on native threads.

Only on connections whose application has allowed other threads (`check_same_thread=False`). A greenlet that is killed
or times out meanwhile interrupts the statement, and goes on when it has ended; at once if it has not begun.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import gevent

from ...runtime.limits import RETRY_LONGEST, SQLITE_LONG_STATEMENTS
from ...runtime.offload import offload, to_be_seen
from .borrowed_file import outcome

T = TypeVar("T")
#: The hashes of their texts, the latest last.
known: Final[OrderedDict[int, None]] = OrderedDict()


def remember(sql: str) -> None:
    """This one is long."""
    known[hash(sql)] = None
    known.move_to_end(hash(sql))
    if len(known) > SQLITE_LONG_STATEMENTS:
        known.popitem(last=False)


def is_long(sql: str) -> bool:
    """Whether a statement has proved long."""
    return hash(sql) in known


def off_loaded(connection: sqlite3.Connection, call: Callable[..., T], *args: Any) -> T:
    """Make a call that can be interrupted, on a native thread. Raises what it raises, or what is thrown meanwhile.

    If it still waits for a thread then, it is never made.
    """
    first: dict[str, str] = {}  # to come: the thread to make the call, or the greenlet to give it up

    def begin() -> T | None:
        return call(*args) if first.setdefault("is", "thread") == "thread" else None

    running = gevent.spawn(outcome, lambda: offload(begin))
    thrown: BaseException | None = None
    while not running.ready():
        try:
            running.join(None if thrown is None else RETRY_LONGEST)
        except BaseException as error:
            thrown = to_be_seen(thrown, error)
        if thrown is not None:
            if first.setdefault("is", "greenlet") == "greenlet":
                break
            connection.interrupt()  # again and again: SQLite forgets it while no statement runs
    if thrown is not None:
        raise thrown
    result, failure = running.get()
    if failure is not None:
        raise failure
    return result  # type: ignore[no-any-return]
