"""psycopg 3, psycopg_pool and pg8000 against a server: see probe."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pg8000.dbapi
import psycopg
import psycopg_pool
from gevent import Timeout
from hublet.patches.patching import REGISTRY

from loadtests.bench.libraries.ticker import measured

from .probe import assert_yields, fails

SLEEP = "SELECT 7, pg_sleep(0.2)"


def check_queries_yield(dsn: str) -> None:
    connections = [psycopg.connect(dsn) for _ in range(21)]

    def query() -> Any:
        with connections.pop() if connections else psycopg.connect(dsn) as connection:
            row = connection.execute(SLEEP).fetchone()
            assert row is not None
            return row[0]

    assert psycopg.pq.__impl__ in {"binary", "c"}
    assert psycopg.waiting.wait is psycopg.waiting.wait_poll
    assert assert_yields(query) == [7] * 20


def check_a_connection_shared_by_greenlets(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        running = [gevent.spawn(lambda: connection.execute("SELECT 7, pg_sleep(0.02)").fetchone()) for _ in range(5)]
        assert [each.get()[0] for each in running] == [7] * 5


def check_killed_and_timed_out_queries(dsn: str) -> None:
    connection = psycopg.connect(dsn)
    began = time.perf_counter()
    with measured() as measure:
        with fails(Timeout), Timeout(0.1):
            connection.execute("SELECT pg_sleep(10)")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        running = gevent.spawn(connection.execute, "SELECT pg_sleep(10)")
        gevent.sleep(0.1)
        running.kill()
        connection.rollback()
        assert connection.execute("SELECT 2").fetchone() == (2,)
    assert time.perf_counter() - began < 5
    assert measure.stall < 0.5
    connection.close()


def check_the_pool_yields(dsn: str) -> None:
    with psycopg_pool.ConnectionPool(dsn, min_size=20, max_size=20) as pool:
        pool.wait()

        def query() -> Any:
            with pool.connection() as connection:
                return connection.execute(SLEEP).fetchone()

        assert len(assert_yields(query)) == 20


def pg8000_connection(dsn: str) -> Any:
    server = {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(dsn).items()}
    return pg8000.dbapi.connect(server["user"], host=server["host"], port=int(server["port"]), database="postgres")


def check_pg8000_never_answers_the_query_before(dsn: str) -> None:
    for thrown in (Timeout(0.05), Timeout(0.05, ValueError("too slow"))):
        connection = pg8000_connection(dsn)
        cursor = connection.cursor()
        with fails(ValueError if thrown.exception else Timeout), thrown:
            cursor.execute("SELECT 'old', pg_sleep(1)")
        with fails(Exception):
            cursor.execute("SELECT 'new'")
    connection = pg8000_connection(dsn)
    with fails(pg8000.dbapi.DatabaseError, "no_such_table"):
        connection.cursor().execute("SELECT * FROM no_such_table")
    connection.rollback()
    cursor = connection.cursor()
    cursor.execute("SELECT 'usable'")
    assert cursor.fetchall() == (["usable"],)
    connection.close()


def check_pg8000_yields(dsn: str) -> None:
    connections = [pg8000_connection(dsn) for _ in range(21)]

    def query() -> Any:
        connection = connections.pop() if connections else pg8000_connection(dsn)
        cursor = connection.cursor()
        cursor.execute(SLEEP)
        row = cursor.fetchone()
        connection.close()
        return row[0]

    assert assert_yields(query) == [7] * 20


def check_undoing(dsn: str) -> None:
    """The last check."""
    REGISTRY.undo()
    before = dict(vars(psycopg.waiting))
    REGISTRY.apply()
    assert psycopg.waiting.wait is psycopg.waiting.wait_poll
    REGISTRY.undo()
    assert dict(vars(psycopg.waiting)) == before
