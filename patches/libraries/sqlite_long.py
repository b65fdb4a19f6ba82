"""Which SQLite statements have proved long, and how those run on native threads.

Only on connections whose application has allowed other threads (`check_same_thread=False`). A greenlet that is killed
or times out meanwhile interrupts the statement, and goes on when it has ended.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import gevent

from ...runtime.limits import SQLITE_LONG_STATEMENTS
from ...runtime.offload import offload
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
    """Make a call that can be interrupted, on a native thread. Raises what it raises, or what is thrown meanwhile."""
    running = gevent.spawn(outcome, lambda: offload(call, *args))
    thrown: BaseException | None = None
    while not running.ready():
        try:
            running.join()
        except BaseException as error:
            thrown = thrown or error
            connection.interrupt()
    if thrown is not None:
        raise thrown
    result, failure = running.get()
    if failure is not None:
        raise failure
    return result  # type: ignore[no-any-return]
