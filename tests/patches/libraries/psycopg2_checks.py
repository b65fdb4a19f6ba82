"""psycopg2 against a server, patched: see probe."""

from __future__ import annotations

import io
import socket
import time
from typing import Any

import gevent
import psycopg2
from gevent import Timeout
from gevent.monkey import get_original
from hublet.patches.libraries import psycopg2 as patch
from hublet.patches.patching import REGISTRY
from psycopg2 import extensions, extras, sql

from loadtests.bench.libraries.ticker import measured

from .probe import assert_no_stall, assert_yields, fails

SLEEP = "SELECT pg_sleep(0.2), 7 AS seven"


def check_queries_yield(dsn: str) -> None:
    def query() -> Any:
        with psycopg2.connect(dsn) as connection, connection.cursor(cursor_factory=extras.DictCursor) as cursor:
            cursor.execute(SLEEP)
            return cursor.fetchone()["seven"]

    assert assert_yields(query) == [7] * 20


def check_a_large_result_yields(dsn: str) -> None:
    def query() -> None:
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT 'x', pg_sleep(0.2) UNION ALL SELECT repeat('x', 1000), NULL FROM generate_series(1, 50000)"
            )
            assert cursor.rowcount == 50_001
            assert len(cursor.fetchmany(10)) == 10

    assert_no_stall(query)


def check_connecting_yields_while_the_server_is_silent(_: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, measured() as measure:
        began = time.perf_counter()
        with fails(psycopg2.OperationalError, "timeout expired"):
            psycopg2.connect(host="127.0.0.1", port=silent.getsockname()[1], connect_timeout=1)
        assert time.perf_counter() - began > 0.9
    assert measure.stall < 0.5


def check_names_are_resolved_on_the_hub(dsn: str) -> None:
    asked = []
    real = socket.getaddrinfo

    def slow(name: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(name)
        gevent.sleep(0.2)
        return real("127.0.0.1", *args, **kwargs)

    socket.getaddrinfo = slow  # type: ignore[assignment]
    try:
        parameters = {**extensions.parse_dsn(dsn), "host": "database.invalid"}
        results = assert_yields(lambda: psycopg2.connect(**parameters).info.host)
    finally:
        socket.getaddrinfo = real
    assert results == ["database.invalid"] * 20
    assert set(asked) == {"database.invalid"}
    with fails(psycopg2.OperationalError, 'could not translate host name "no-such-host.invalid"'):
        psycopg2.connect(host="no-such-host.invalid")


def check_a_connecting_greenlet_can_be_killed(_: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connecting = gevent.spawn(psycopg2.connect, host="127.0.0.1", port=silent.getsockname()[1])
        peer, _address = silent.accept()
        assert peer.recv(1)
        connecting.kill(timeout=5)
        assert connecting.dead
        with peer:
            while peer.recv(1000):  # the connection is closed
                pass


def check_a_busy_connection_refuses_instead_of_hanging(dsn: str) -> None:
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    query = gevent.spawn(cursor.execute, SLEEP)
    gevent.sleep(0.05)
    for name in ("commit", "rollback", "close", "reset", "lobject"):
        with fails(psycopg2.ProgrammingError, f"{name} cannot be used while another greenlet"):
            getattr(connection, name)()
    with fails(psycopg2.ProgrammingError, "autocommit"):
        connection.autocommit = True
    with fails(psycopg2.ProgrammingError):
        connection.cursor().execute("SELECT 1")
    query.get()
    assert cursor.fetchone()[1] == 7
    connection.rollback()
    connection.close()


def check_killed_and_timed_out_queries(dsn: str) -> None:
    for end in ("kill", "timeout"):
        connection = psycopg2.connect(dsn)
        cursor = connection.cursor()
        if end == "kill":
            query = gevent.spawn(cursor.execute, "SELECT pg_sleep(10)")
            gevent.sleep(0.05)
            query.kill()
        else:
            with fails(Timeout), Timeout(0.1):
                cursor.execute("SELECT pg_sleep(10)")
        assert connection.closed
        with fails(psycopg2.InterfaceError):
            connection.cursor()


def check_copy_yields(dsn: str) -> None:
    """The file is the greenlet's own: it waits on the hub, and sees each row by itself."""

    class Slow:
        def __init__(self) -> None:
            self.rows = ["1\tone\n", "2\ttwo\n", ""]
            self.written: list[str] = []
            self.greenlet = gevent.getcurrent()

        def read(self, size: int) -> str:
            assert gevent.getcurrent() is self.greenlet
            gevent.sleep(0.1)
            return self.rows.pop(0)

        def write(self, row: bytes) -> None:
            assert gevent.getcurrent() is self.greenlet
            self.written.append(row.decode())

    def copy() -> Any:
        connection = psycopg2.connect(dsn)
        file = Slow()
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE copied (number int, word text)")
            cursor.copy_from(file, "copied", columns=("number", "word"))
            assert cursor.rowcount == 2
            assert cursor.query == b"""COPY "copied"("number","word") FROM stdin WITH DELIMITER AS '\t' NULL AS '\\N'"""
            cursor.copy_to(file, "copied", sep="|")
            text = io.StringIO()
            cursor.copy_expert(sql.SQL("COPY {} TO STDOUT WITH CSV").format(sql.Identifier("copied")), text)
        connection.close()
        return file.written, text.getvalue()

    assert assert_yields(copy) == [(["1|one\n", "2|two\n"], "1,one\n2,two\n")] * 20
    assert extensions.get_wait_callback() is patch.wait


def check_copy_of_much_does_not_stall(dsn: str) -> None:
    rows = "".join(f"{number}\tsome text\n" for number in range(200_000))
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE copied (number int, word text)")

    def copy() -> None:
        cursor.execute("TRUNCATE copied")
        cursor.copy_from(io.StringIO(rows), "copied")
        into = io.StringIO()
        cursor.copy_to(into, "copied")
        assert into.getvalue() == rows

    assert_no_stall(copy)
    connection.close()


def check_copy_that_fails(dsn: str) -> None:
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()

    class Failing:
        def read(self, size: int) -> str:
            raise OSError("no such disk")

        def write(self, data: bytes) -> None:
            raise OSError("disk full")

    with fails(psycopg2.errors.QueryCanceled, "no such disk"):
        cursor.copy_expert("COPY pg_description FROM STDIN", Failing())
    connection.rollback()
    with fails(OSError, "disk full"):
        cursor.copy_to(Failing(), "pg_class")
    connection.rollback()
    with fails(psycopg2.errors.UndefinedTable):
        cursor.copy_to(io.StringIO(), "no_such_table")
    connection.rollback()
    with fails(psycopg2.ProgrammingError, "empty query"):
        cursor.copy_expert("", io.StringIO())
    with fails(TypeError, "must have a .read() method"):
        cursor.copy_from(object(), "pg_class")
    cursor.execute("SELECT 1")
    assert cursor.fetchall() == [(1,)]
    connection.close()
    with fails(psycopg2.InterfaceError, "already closed"):
        cursor.copy_to(io.StringIO(), "pg_class")


def check_copy_that_is_killed_leaves_a_usable_connection(dsn: str) -> None:
    connection = psycopg2.connect(dsn)
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE copied (word text)")

    class Endless:
        def read(self, size: int) -> str:
            gevent.sleep(0.01)
            return "word\n"

    copying = gevent.spawn(cursor.copy_from, Endless(), "copied")
    gevent.sleep(0.1)
    with fails(psycopg2.ProgrammingError, "commit cannot be used"):
        connection.commit()
    copying.kill(timeout=5)
    assert copying.dead
    connection.rollback()
    cursor.execute("SELECT 1")
    assert cursor.fetchall() == [(1,)]
    connection.close()


def check_large_objects(dsn: str) -> None:
    connection = psycopg2.connect(dsn)
    data = bytes(range(256)) * 40_000

    def write_and_read() -> None:
        written = connection.lobject(0, "wb")
        assert isinstance(written, extensions.lobject)
        assert written.write(data) == len(data)
        written.close()
        read = connection.lobject(written.oid, "rb")
        assert read.read() == data
        assert (read.seek(10), read.tell(), read.read(2)) == (10, 10, b"\n\x0b")
        read.unlink()
        assert read.closed

    assert_no_stall(write_and_read)
    connection.rollback()
    connection.close()


def check_factories_keep_their_classes(dsn: str) -> None:
    class Mine(extensions.connection):
        def commit(self) -> None:
            self.committed = True
            super().commit()

    connection = psycopg2.connect(dsn, connection_factory=Mine, cursor_factory=extras.RealDictCursor)
    assert isinstance(connection, Mine)
    assert type(connection).__name__ == "Mine"
    with connection, connection.cursor() as cursor:
        assert isinstance(cursor, extras.RealDictCursor)
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchall() == [{"one": 1}]
    assert connection.committed
    assert psycopg2.connect(dsn, connection_factory=extras.NamedTupleConnection).cursor().connection.closed == 0


def check_native_threads(dsn: str) -> None:
    results: list[Any] = []

    def query() -> None:
        connection = psycopg2.connect(dsn, connect_timeout=5)
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        results.append(cursor.fetchall())
        cursor.copy_to(io.StringIO(), "pg_class")
        connection.close()
        results.append("closed")

    get_original("_thread", "start_new_thread")(query, ())
    while len(results) < 2:
        gevent.sleep(0.01)
    assert results == [[(1,)], "closed"]


def check_undoing(dsn: str) -> None:
    """The last check: psycopg2 is as it was, and can be patched again."""
    REGISTRY.undo()
    assert psycopg2._connect is psycopg2._psycopg._connect
    assert extensions.get_wait_callback() is None
    with psycopg2.connect(dsn) as connection:
        assert type(connection) is extensions.connection
    before = dict(vars(psycopg2))
    REGISTRY.apply()
    assert psycopg2._connect is patch.connect
    REGISTRY.undo()
    assert dict(vars(psycopg2)) == before
