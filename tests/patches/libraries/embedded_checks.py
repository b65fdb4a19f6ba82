"""apsw and duckdb, patched: see probe."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import apsw
import duckdb
import gevent
from gevent import Timeout
from hublet.patches.patching import REGISTRY

from .probe import assert_no_stall, assert_yields, fails

names = itertools.count()


def held(path: str, seconds: float) -> Any:
    """A connection that has the lock of a new database, and lets go of it later."""
    holder = apsw.Connection(path)
    holder.execute("CREATE TABLE numbers (n); BEGIN EXCLUSIVE")
    gevent.spawn_later(seconds, lambda: holder.execute("COMMIT"))
    return holder


def check_apsw_waits_for_locks_yield(folder: str) -> None:
    def insert() -> Any:
        path = str(Path(folder) / f"{next(names)}.db")
        holder = held(path, 0.2)
        connection = apsw.Connection(path)
        connection.set_busy_timeout(5000)
        connection.execute("INSERT INTO numbers VALUES (7)")
        result = connection.execute("SELECT n FROM numbers").fetchall()
        connection.close()
        holder.close()
        return result

    assert assert_yields(insert) == [[(7,)]] * 20


def check_apsw_gives_up(folder: str) -> None:
    path = str(Path(folder) / f"{next(names)}.db")
    holder = held(path, 5)
    connection = apsw.Connection(path)
    connection.setbusytimeout(150)
    began = time.perf_counter()
    with fails(apsw.BusyError):
        connection.execute("INSERT INTO numbers VALUES (7)")
    assert 0.1 < time.perf_counter() - began < 3
    connection.set_busy_timeout(5000)
    with fails(Timeout), Timeout(0.05):
        connection.execute("INSERT INTO numbers VALUES (7)")
    holder.execute("COMMIT")
    assert connection.execute("SELECT count(*) FROM numbers").fetchall() == [(0,)]
    connection.set_busy_timeout(0)
    assert isinstance(connection, apsw.Connection)


def check_duckdb_queries_yield(_: str) -> None:
    connection = duckdb.connect(":memory:")
    long = "SELECT sum(a.range * b.range % 7) FROM range(20000) a, range(1000) b"
    began = time.perf_counter()
    expected = connection.execute(long).fetchall()
    one = time.perf_counter() - began

    def queries() -> None:
        running = [gevent.spawn(lambda: connection.cursor().execute(long).fetchall()) for _ in range(4)]
        running.append(gevent.spawn(lambda: connection.cursor().sql(long).fetchall()))
        assert [each.get() for each in running] == [expected] * 5

    assert_no_stall(queries, max(0.1, one))
    # One after the other on one connection, whose pending result is the last one's.
    others = [gevent.spawn(connection.execute, f"SELECT {number}") for number in range(20)]
    gevent.joinall(others, raise_error=True)
    assert connection.fetchone() == (19,)
    connection.close()


def check_duckdb_sees_its_callers_variables(_: str) -> None:
    local = duckdb.sql("SELECT 42 AS answer")
    assert duckdb.sql("SELECT answer FROM local").fetchall() == [(42,)]
    assert local.fetchall() == [(42,)]


def check_duckdb_errors_and_timeouts(_: str) -> None:
    connection = duckdb.connect(":memory:")
    with fails(duckdb.CatalogException):
        connection.execute("SELECT * FROM nowhere")
    with fails(Timeout), Timeout(0.01):
        connection.execute("SELECT sum(a.range * b.range % 7) FROM range(20000) a, range(1000) b").fetchall()
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    with fails(ZeroDivisionError):
        connection.begin()
        try:
            connection.execute("CREATE TABLE t (a int)")
            1 / 0
        finally:
            connection.rollback()
    with fails(duckdb.CatalogException):
        connection.execute("SELECT * FROM t")


def check_undoing(_: str) -> None:
    """The last check."""
    REGISTRY.undo()
    holders = (apsw, duckdb, duckdb.DuckDBPyConnection, duckdb.DuckDBPyRelation)
    before = [dict(vars(each)) for each in holders]
    REGISTRY.apply()
    assert apsw.Connection is not before[0]["Connection"]
    REGISTRY.undo()
    assert [dict(vars(each)) for each in holders] == before
