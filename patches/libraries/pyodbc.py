"""pyodbc on native threads: its classes cannot be subclassed, so connections and cursors are stood in for.

What stands in has every attribute of the original. Calls that reach the ODBC driver run on the lane of their
connection; a kill inside fetching closes the connection, since the rows that came are lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyodbc

from ...runtime.offload import Lane
from .off_loading import call_unless_interrupted

original_connect = pyodbc.connect


def connect(*args: Any, **kwargs: Any) -> Connection:
    """Connect as `pyodbc.connect` does."""
    lane = Lane()
    return Connection(lane.call(original_connect, *args, **kwargs), lane)


def off_loaded(name: str) -> Callable[..., Any]:
    """A method that calls the original's on a native thread; what returns the original cursor returns its stand-in."""

    def call(self: StandIn, *args: Any, **kwargs: Any) -> Any:
        result = self._lane.call(getattr(self._original, name), *args, **kwargs)
        return self if result is self._original else result

    call.__name__ = name
    return call


def fetching(name: str) -> Callable[..., Any]:
    """As `off_loaded`, for rows, which are lost where the greenlet was killed meanwhile."""

    def fetch(self: Cursor, *args: Any) -> Any:
        close = self.connection._original.close
        return call_unless_interrupted(self._lane, close, getattr(self._original, name), *args)

    fetch.__name__ = name
    return fetch


class StandIn:
    """Has the attributes of an original, and sets them there."""

    __slots__ = ("__weakref__", "_lane", "_original")

    def __init__(self, original: Any, lane: Lane) -> None:
        object.__setattr__(self, "_original", original)
        object.__setattr__(self, "_lane", lane)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._lane.call(setattr, self._original, name, value)

    def __dir__(self) -> list[str]:
        return dir(self._original)

    __exit__ = off_loaded("__exit__")
    close = off_loaded("close")
    commit = off_loaded("commit")
    rollback = off_loaded("rollback")


class Connection(StandIn):
    """Stands in for a connection."""

    __slots__ = ()

    def __enter__(self) -> Connection:
        return self

    def cursor(self) -> Cursor:
        """Return a new cursor."""
        return Cursor(self._lane.call(self._original.cursor), self._lane, self)

    def execute(self, *args: Any) -> Cursor:
        """Execute a statement with a new cursor, and return that."""
        cursor = self.cursor()
        cursor.execute(*args)
        return cursor

    getinfo = off_loaded("getinfo")
    set_attr = off_loaded("set_attr")


class Cursor(StandIn):
    """Stands in for a cursor. `cancel` is the original's own: it is for a statement that runs."""

    __slots__ = ("connection",)

    connection: Connection

    def __init__(self, original: Any, lane: Lane, connection: Connection) -> None:
        super().__init__(original, lane)
        object.__setattr__(self, "connection", connection)

    def __enter__(self) -> Cursor:
        return self

    def __iter__(self) -> Cursor:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    columns = off_loaded("columns")
    execute = off_loaded("execute")
    executemany = off_loaded("executemany")
    fetchall = fetching("fetchall")
    fetchmany = fetching("fetchmany")
    fetchone = fetching("fetchone")
    fetchval = fetching("fetchval")
    foreignKeys = off_loaded("foreignKeys")
    getTypeInfo = off_loaded("getTypeInfo")
    nextset = off_loaded("nextset")
    primaryKeys = off_loaded("primaryKeys")
    procedureColumns = off_loaded("procedureColumns")
    procedures = off_loaded("procedures")
    rowIdColumns = off_loaded("rowIdColumns")
    rowVerColumns = off_loaded("rowVerColumns")
    skip = fetching("skip")
    statistics = off_loaded("statistics")
    tablePrivileges = off_loaded("tablePrivileges")
    tables = off_loaded("tables")
