"""MariaDB's own driver on native threads: connecting, statements, transactions.

The driver holds the interpreter's lock while it reads rows, so that rows which come slowly stop every thread.
"""

from __future__ import annotations

import functools
import threading
import types
from collections.abc import Callable
from typing import Any

from mariadb import _mariadb, connections

from .off_loading import call_unless_interrupted, lane_of, off_loaded

#: In place of the module `_thread`, whose RLock would let in every greenlet of a thread that holds it.
LOCKS = types.SimpleNamespace(RLock=threading.RLock)
#: Methods of `Connection` that are inherited from the C class, where nothing can be replaced.
INHERITED = ("change_user", "dump_debug_info", "ping", "reconnect", "reset")


def off_loaded_by_cursor(original: Callable[..., Any]) -> Callable[..., Any]:
    """A cursor's method that runs on the lane of its connection."""

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return lane_of(self.connection).call(original, self, *args, **kwargs)

    return call


def fetching(original: Callable[..., Any]) -> Callable[..., Any]:
    """A cursor's method that fetches: rows that are not buffered come from the server.

    Rows that came for a greenlet which was killed meanwhile are lost: the connection is closed, lest the next to fetch
    misses them.
    """

    @functools.wraps(original)
    def fetch(self: Any, *args: Any) -> Any:
        if self.buffered:
            return original(self, *args)
        connection = self.connection
        close = functools.partial(_mariadb.connection.close, connection)
        return call_unless_interrupted(lane_of(connection), close, original, self, *args)

    return fetch


def closing(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Connection.close`. A pool's connection goes back to it, and takes locks that native threads must not."""
    off_loaded_close = off_loaded(original)

    @functools.wraps(original)
    def close(self: Any) -> None:
        (original if self._Connection__pool else off_loaded_close)(self)

    return close


def add_inherited() -> None:
    """Give `Connection` methods of its own that call the inherited ones on native threads."""
    for name in INHERITED:
        setattr(connections.Connection, name, off_loaded(getattr(connections.Connection, name)))


def remove_inherited() -> None:
    """Take back what `add_inherited` has done, where no reload of the module has."""
    for name in vars(connections.Connection).keys() & INHERITED:
        delattr(connections.Connection, name)
