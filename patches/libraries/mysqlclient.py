"""MySQLdb connections that wait on the hub for the answer to a query, and on native threads for everything else.

The answer is waited for on the hub, since that may take long and a server may have thousands of such queries; what
reads much, or sends and reads several times, is off-loaded: connecting, fetching the rows, COMMIT and the like. A
greenlet that is killed between a query and its answer closes the connection, which would otherwise give that answer to
the next query.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gevent.socket import wait_read
from MySQLdb import _mysql, connections, constants, converters
from MySQLdb._exceptions import MySQLError

from ...runtime.errors import OffloadQueueFull
from ...runtime.offload import Lane, has_hub_to_yield_to, offload

#: What `connect` imports where it runs: on a native thread, which must not be the first to do so.
IMPORTED_BY_CONNECT = (converters, constants)
#: Bytes of a query that the socket's buffers certainly take, so that sending it does not wait for the server.
SENT_AT_ONCE = 64 * 1024
#: A statement whose answer asks for a file, which reading the answer then sends.
SENDS_A_FILE = re.compile(rb"\bLOCAL\s+INFILE\b", re.IGNORECASE)
#: Parameters of `connect` that may set a time limit for reading, which only the library's own waiting observes.
LIMITING_READS = {"read_timeout", "read_default_file", "read_default_group"}


def off_loaded(name: str) -> Callable[..., Any]:
    """A method that runs on a native thread, after those before it on the same connection."""
    method = getattr(connections.Connection, name)

    def call(self: Connection, *args: Any, **kwargs: Any) -> Any:
        return self.lane.call(method, self, *args, **kwargs)

    call.__name__, call.__qualname__, call.__doc__ = name, f"Connection.{name}", method.__doc__
    return call


class Connection(connections.Connection):
    """The connection that `MySQLdb.connect` returns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lane = Lane()
        self.was_interrupted = False
        self.waits_on_hub = LIMITING_READS.isdisjoint(kwargs)
        self.lane.call(super().__init__, *args, **kwargs)

    def query(self, query: str | bytes | bytearray) -> None:
        """Execute a statement; its result is fetched by `store_result` or `use_result`."""
        statement = query.encode() if isinstance(query, str) else bytes(query)
        if not has_hub_to_yield_to():
            _mysql.connection.query(self, statement)
            return
        on_hub = self.waits_on_hub and len(statement) <= SENT_AT_ONCE and not SENDS_A_FILE.search(statement)
        with self.lane:  # who is killed before having it has not interrupted anything
            try:
                if on_hub:
                    self.send_query(statement)
                    wait_read(self.fileno())
                    self.read_query_result()
                else:
                    offload(_mysql.connection.query, self, statement)
            except (MySQLError, OffloadQueueFull):
                raise
            except BaseException:
                self._interrupted()
                raise

    def _interrupted(self) -> None:
        self.was_interrupted = True
        with suppress(MySQLError):
            _mysql.connection.close(self)

    def store_result(self) -> Any:
        """Fetch all rows of the result; None if the statement has none."""
        if not self.field_count():
            return super().store_result()
        return self.lane.call(super().store_result)

    def use_result(self) -> Any:
        """Return a result whose rows are fetched as they are asked for; None if the statement has none."""
        return StreamedResult(self, 1, self.converter) if self.field_count() else super().use_result()

    def next_result(self) -> int:
        """Go on to the next result of several; -1 if there is none."""
        if self.was_interrupted:  # cursors ask when they are closed, where an error would hide what interrupted
            return -1
        return int(self.lane.call(super().next_result) if self.more_results() else super().next_result())

    def autocommit(self, on: bool) -> None:
        """Switch autocommit, where that changes anything."""
        if self.get_autocommit() != bool(on):
            self.lane.call(super().autocommit, on)

    def close(self) -> None:
        """Close the connection, after the call that runs on it; one that was interrupted is closed already."""
        if not self.was_interrupted:
            with self.lane:
                super().close()

    change_user = off_loaded("change_user")
    commit = off_loaded("commit")
    discard_result = off_loaded("discard_result")
    dump_debug_info = off_loaded("dump_debug_info")
    kill = off_loaded("kill")
    ping = off_loaded("ping")
    rollback = off_loaded("rollback")
    select_db = off_loaded("select_db")
    set_character_set = off_loaded("set_character_set")
    set_server_option = off_loaded("set_server_option")
    shutdown = off_loaded("shutdown")
    stat = off_loaded("stat")


class StreamedResult(_mysql.result):
    """A result whose rows are still on their way.

    Rows that have come for a greenlet that was killed meanwhile are kept: the next to fetch gets them.
    """

    def __init__(self, connection: Connection, use: int, converter: Any) -> None:
        super().__init__(connection, use, converter)
        self.lane = connection.lane
        self.rows: tuple[Any, ...] = ()

    def fetch_row(self, maxrows: int = 1, how: int = 0) -> tuple[Any, ...]:
        """Return up to `maxrows` rows, all that are left if it is 0, each as `how` says (0: tuple, 1 and 2: dict)."""
        if not self.rows or not maxrows:
            self.lane.call(self._read, maxrows, how)
        rows, self.rows = self.rows, ()
        return rows

    def _read(self, maxrows: int, how: int) -> None:
        self.rows += tuple(super().fetch_row(maxrows, how))

    def discard(self) -> None:
        """Read what is left of the rows and forget it."""
        self.rows = ()
        self.lane.call(super().discard)
