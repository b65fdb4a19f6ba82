"""sqlite3 on the hub: waits for locks yield, and long statements give the other greenlets their turns.

SQLite is patched where it calls back or comes back, and runs on the caller's own thread, so that `check_same_thread`,
functions written in Python, adapters, row factories and context variables are as they were.

- A lock that another connection holds: SQLite's own wait (the busy timeout) is 0, and what it refuses is tried again,
  with pauses on the hub, until the connection's `timeout` is over. Only statements that SQLite says have done nothing
  are tried again. Where SQLite sees a deadlock and refuses at once, this waits for the timeout too.
- A long statement: SQLite calls the progress handler every so many instructions of its virtual machine, and that
  switches to the hub in the midst of the statement. One long statement runs between two turns of the hub.
- A statement that has proved long runs on a native thread from then on (sqlite_long), if its connection may be used by
  other threads.
- A greenlet that is killed or times out meanwhile interrupts its statement, as `interrupt()` does.

A connection that waits so is used by nobody else: other greenlets wait until the statement has ended. With a shared
cache connections hold mutexes in common, which a switch must not leave locked: there, long statements do not yield.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from sqlite3 import Connection as NativeConnection
from sqlite3 import Cursor as NativeCursor
from time import perf_counter
from typing import Any, Final, TypeVar

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.monkey import get_original

from ...runtime.limits import SQLITE_BACKUP_PAGES, SQLITE_INSTRUCTIONS, SQLITE_LONG_SLICES, SQLITE_SLICE
from ...runtime.offload import has_hub_to_yield_to, this_thread
from .lock_pauses import pause, pause_before
from .sqlite_long import is_long, known, off_loaded, remember
from .sqlite_scripts import executed_whole, statements
from .subclasses import cooperative

T = TypeVar("T")
BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY})
LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
BUSY_TIMEOUT: Final = re.compile(r"\s*PRAGMA\s+busy_timeout\s*(?:[=(]\s*(-?\d+)\s*\)?)?\s*;?\s*$", re.IGNORECASE)
#: The least time between two turns of the hub that makes it look at its timers and sockets.
NEXT_TURN: Final = 0.00001

native_connect: Final[Callable[..., sqlite3.Connection]] = sqlite3.connect


class Turn(get_original("_thread", "_local")):  # type: ignore[misc]
    """Of each hub: since when statements have been running in this turn of it, and whose is the next."""

    def __init__(self) -> None:
        self.hub: Any = None
        self.began: float | None = None

    def is_over(self) -> bool:
        """Whether statements have run for long enough since the hub looked at its timers and sockets."""
        hub = gevent.get_hub()
        if self.hub is not hub:
            self.hub, self.began = hub, None
            self.end = hub.loop.timer(0.0, ref=False)
            self.next = BoundedSemaphore(1)
        if self.began is None:
            self.began = perf_counter()
            self.end.start(self._ended)
            return False
        return perf_counter() - self.began > SQLITE_SLICE

    def _ended(self) -> None:
        self.end.stop()
        self.began = None


turn: Final = Turn()


class Connection(NativeConnection):
    """`sqlite3.Connection`, whose waits yield."""

    hublet_timeout = 5.0
    hublet_slices = True
    hublet_other_threads = False
    hublet_sql = ""
    hublet_slices_taken = 0
    hublet_thrown: BaseException | None = None
    hublet_parked: Event | None = None
    hublet_progress: tuple[Callable[[], Any] | None, int] = (None, 0)

    def __init__(self, database: Any, timeout: float = 5.0, *args: Any, **kwargs: Any) -> None:
        if args:
            super().__init__(database, 0.0, *args, **kwargs)
        else:  # from Python 3.13 on, more than one positional argument is deprecated
            super().__init__(database, timeout=0.0, **kwargs)
        self.hublet_timeout = timeout
        self.hublet_slices = "cache=shared" not in str(database)
        check_same_thread = args[2] if len(args) > 2 else kwargs.get("check_same_thread", True)
        self.hublet_other_threads = not check_same_thread and sqlite3.threadsafety > 0
        self.set_progress_handler(None, 0)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """As sqlite3's."""
        if not args and not kwargs:
            return super().cursor(Cursor)
        factory = args[0] if args else kwargs.pop("factory", Cursor)
        return super().cursor(cooperative(factory, Cursor), *args[1:], **kwargs)

    def execute(self, *args: Any) -> Any:
        """As sqlite3's."""
        return Connection.cursor(self).execute(*args)

    def executemany(self, *args: Any) -> Any:
        """As sqlite3's."""
        return Connection.cursor(self).executemany(*args)

    def executescript(self, *args: Any) -> Any:
        """As sqlite3's."""
        return Connection.cursor(self).executescript(*args)

    def commit(self) -> None:
        """As sqlite3's."""
        patiently(self, super().commit)

    def rollback(self) -> None:
        """As sqlite3's."""
        patiently(self, super().rollback)

    def close(self) -> None:
        """As sqlite3's."""
        patiently(self, super().close)

    def __exit__(self, kind: Any, value: Any, trace: Any) -> Any:
        if kind is not None:
            return super().__exit__(kind, value, trace)
        try:
            Connection.commit(self)
        except BaseException:  # of SQLite, or a kill or timeout while it waited
            Connection.rollback(self)
            raise
        return False

    def backup(
        self,
        target: sqlite3.Connection,
        *,
        pages: int = -1,
        progress: Any = None,
        name: str = "main",
        sleep: float = 0.25,
    ) -> None:
        """As sqlite3's, with turns for the other greenlets after some pages."""
        if progress is not None and not callable(progress):
            raise TypeError("progress argument must be a callable")
        whole = pages <= 0

        def report(status: int, remaining: int, total: int) -> None:
            if progress is not None and (not whole or not remaining):
                progress(status, remaining, total)
            if status in LOCKED:
                pause(sleep)
            elif has_hub_to_yield_to():
                pause(NEXT_TURN)

        pages = SQLITE_BACKUP_PAGES if whole else pages
        patiently(
            self, lambda: super(Connection, self).backup(target, pages=pages, progress=report, name=name, sleep=0)
        )

    def set_progress_handler(self, progress_handler: Callable[[], Any] | None, n: int) -> None:
        """As sqlite3's, beside our own."""
        if progress_handler is None or n <= 0:
            super().set_progress_handler(self._progress if self.hublet_slices else None, SQLITE_INSTRUCTIONS)
            return

        def both() -> Any:
            return progress_handler() or (self.hublet_slices and self._progress())

        both.__name__ = getattr(progress_handler, "__name__", both.__name__)  # errors in it are reported by name
        super().set_progress_handler(both, n)

    def _progress(self) -> bool:
        """What SQLite calls now and then: whether the statement is to be interrupted."""
        if not has_hub_to_yield_to() or not turn.is_over():
            return False
        self.hublet_slices_taken += 1
        if self.hublet_sql and self.hublet_slices_taken == SQLITE_LONG_SLICES:
            remember(self.hublet_sql)
        self.hublet_parked = parked = Event()
        try:
            with turn.next:
                pause(NEXT_TURN)
        except BaseException as error:
            self.hublet_thrown = error
            return True
        finally:
            self.hublet_parked = None
            parked.set()
        return False


class Cursor(NativeCursor):
    """`sqlite3.Cursor`, whose waits yield."""

    connection: Connection
    hublet_sql = ""
    #: A statement that commits once its rows have been fetched, with its parameters, until the first has been.
    hublet_returning: tuple[str, Any] | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """As sqlite3's."""
        sql = waited_for_here(self.connection, sql)
        self.hublet_sql = sql
        self.hublet_returning = (sql, parameters) if "RETURNING" in sql or "returning" in sql else None
        if known and is_long(sql) and may_off_load(self.connection):
            return patiently(self.connection, elsewhere, self, super().execute, sql, parameters)
        return patiently(self.connection, super().execute, sql, parameters, sql=sql)

    def executemany(self, sql: str, seq_of_parameters: Iterable[Any], /) -> Any:
        """As sqlite3's."""
        rows = iter(seq_of_parameters)
        taken: list[Any] = []

        def counted() -> Iterator[Any]:
            for row in rows:
                taken[:] = (*taken[:1], row)  # one row, or more than one: then some are in the table already
                yield row

        def attempt() -> Any:
            if len(taken) > 1:
                raise stuck[0]
            return super(Cursor, self).executemany(sql, chain(taken[:], rows) if taken else counted())

        stuck: list[BaseException] = []
        return patiently(self.connection, attempt, stuck=stuck)

    def executescript(self, sql_script: str, /) -> Any:
        """As sqlite3's, statement by statement."""
        connection = self.connection
        if not isinstance(sql_script, str) or "\0" in sql_script:
            return super().executescript(sql_script)  # which says what is wrong with it
        legacy = getattr(connection, "autocommit", -1) == -1
        if legacy and connection.in_transaction:
            connection.commit()
        super().executescript("")  # which says whether the cursor is closed
        level = connection.isolation_level if legacy else None
        if level is not None:  # setting it to None commits
            connection.isolation_level = None
        plain = NativeCursor(connection)  # without a row factory: the rows are nobody's
        try:
            for statement in statements(sql_script):
                patiently(connection, executed_whole, plain, waited_for_here(connection, statement))
        finally:
            if level is not None:
                connection.isolation_level = level
        return self

    def fetchone(self) -> Any:
        """As sqlite3's."""
        row = patiently(self.connection, super().fetchone, fetching=self)
        self.hublet_returning = None
        return row

    def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
        """As sqlite3's."""
        rows = patiently(self.connection, lambda: super(Cursor, self).fetchmany(*args, **kwargs), fetching=self)
        self.hublet_returning = None
        return rows

    def fetchall(self) -> Any:
        """As sqlite3's."""
        if known and is_long(self.hublet_sql) and may_off_load(self.connection):
            rows = patiently(self.connection, elsewhere, self, super().fetchall, fetching=self)
        else:
            rows = patiently(self.connection, super().fetchall, sql=self.hublet_sql, fetching=self)
        self.hublet_returning = None
        return rows

    def __next__(self) -> Any:
        row = patiently(self.connection, super().__next__, fetching=self)
        self.hublet_returning = None
        return row


def executed_again(cursor: Cursor, statement: tuple[str, Any], fetch: Callable[..., T], *args: Any) -> T:
    """Execute a statement again that has been rolled back before a row of it was returned, and fetch."""
    NativeCursor.execute(cursor, *statement)
    return fetch(*args)


def may_off_load(connection: Connection | None) -> bool:
    """Whether statements on a connection may run on another thread."""
    return connection is not None and connection.hublet_other_threads and has_hub_to_yield_to()


def elsewhere(cursor: Cursor, call: Callable[..., T], *args: Any) -> T:
    """Make a call on a native thread. Other greenlets that use the connection wait meanwhile."""
    connection = cursor.connection
    connection.hublet_parked = parked = Event()
    try:
        return off_loaded(connection, call, *args)
    finally:
        connection.hublet_parked = None
        parked.set()


def patiently(
    connection: Connection | None,
    call: Callable[..., T],
    *args: Any,
    sql: str = "",
    stuck: list[BaseException] | None = None,
    fetching: Cursor | None = None,
) -> T:
    """Make a call, once nobody else is amid one on the connection, and again while another connection has a lock.

    Where it is a cursor's `fetching` that meets a lock, its statement is gone: it is executed again, if that can be.
    Raises sqlite3's errors, or what was thrown at the greenlet.
    """
    if connection is None:
        return call(*args)  # a subclass has not called __init__: SQLite says so
    while connection.hublet_parked is not None and not this_thread.makes_calls:  # there, a statement calls back
        connection.hublet_parked.wait()
    connection.hublet_sql, connection.hublet_slices_taken = sql, 0
    attempt = 0
    began: float | None = None
    while True:
        try:
            return call(*args)
        except sqlite3.OperationalError as error:
            thrown, connection.hublet_thrown = connection.hublet_thrown, None
            if thrown is not None:
                raise thrown from None
            now = perf_counter()
            began = now if began is None else began
            waited = now - began
            if getattr(error, "sqlite_errorcode", 0) not in BUSY or waited >= connection.hublet_timeout:
                raise
            if stuck is not None:
                stuck[:] = [error]
            if fetching is not None:
                if fetching.hublet_returning is None:
                    raise
                args = (fetching, fetching.hublet_returning, call, *args)
                call, fetching = executed_again, None
        pause_before(attempt, connection.hublet_timeout - waited)
        attempt += 1


def waited_for_here(connection: Connection, sql: str) -> str:
    """The statement to execute: another one for what would have SQLite wait for locks by itself."""
    if "busy_timeout" in sql and (match := BUSY_TIMEOUT.match(sql)):
        return busy_timeout(connection, match[1])
    return sql


def busy_timeout(connection: Connection, milliseconds: str | None) -> str:
    """Set the connection's timeout if one is given; returns a statement that has the pragma's result."""
    if milliseconds is not None:
        connection.hublet_timeout = max(0, int(milliseconds)) / 1000
    return f"SELECT {round(connection.hublet_timeout * 1000)} AS timeout"


def connect(*args: Any, **kwargs: Any) -> Any:
    """`sqlite3.connect`: a connection whose waits yield. Raises sqlite3's errors."""
    position = 5  # of `factory`
    given = args[position] if len(args) > position else kwargs.get("factory")
    factory = Connection if given is None else cooperative(given, Connection)
    if len(args) > position:
        args = (*args[:position], factory, *args[position + 1 :])
    else:
        kwargs["factory"] = factory
    return native_connect(*args, **kwargs)


for each in (Connection, Cursor):
    each.__module__ = "sqlite3"  # where users know them from
