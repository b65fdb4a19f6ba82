"""What is checked of pyodbc, in a patched process, with the ODBC driver of MariaDB."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pyodbc

from . import sql
from .probe import assert_raises, assert_undone, killed_inside


def connecting(port: int) -> sql.Connect:
    def connect(**options: Any) -> Any:
        address = f"DRIVER={{MariaDB Unicode}};SERVER=127.0.0.1;PORT={port};UID=hublet;PWD=secret;DATABASE=test"
        return pyodbc.connect(address, **options)

    return connect


def check_queries(port: int) -> None:
    sql.queries_yield(connecting(port))


def check_slow_rows(port: int) -> None:
    sql.slow_rows_yield(connecting(port))


def check_transactions(port: int) -> None:
    sql.transactions_hold(connecting(port), "?")


def check_locks(port: int) -> None:
    sql.waits_for_locks_yield(connecting(port))


def check_kill_and_timeout(port: int) -> None:
    sql.a_kill_leaves_no_answer_behind(connecting(port), pyodbc.Error)


def check_a_kill_inside_executing_leaves_it_usable(port: int) -> None:
    with closing(connecting(port)()) as connection:
        cursor = connection.cursor()
        killed_inside(lambda: cursor.execute("SELECT SLEEP(0.4)"))
        assert cursor.execute("SELECT 'mine'").fetchval() == "mine"


def check_lost_server(port: int) -> None:
    sql.a_lost_server_is_an_operational_error(connecting(port))


def check_without_a_hub(port: int) -> None:
    sql.works_without_a_hub(connecting(port))


def check_stand_ins_are_like_their_originals(port: int) -> None:
    with closing(connecting(port)(autocommit=True)) as connection:
        assert isinstance(connection, pyodbc.Connection)
        assert connection.autocommit
        connection.autocommit = False
        assert not connection.autocommit
        assert connection.getinfo(pyodbc.SQL_DBMS_NAME) == "MariaDB"
        cursor = connection.cursor()
        assert isinstance(cursor, pyodbc.Cursor)
        assert cursor.connection is connection
        cursor.arraysize = 2
        assert cursor.execute("SELECT seq AS number FROM seq_1_to_7") is cursor
        assert [each[0] for each in cursor.description] == ["number"]
        assert isinstance(first := cursor.fetchone(), pyodbc.Row)
        assert first.number == 1
        assert [tuple(row) for row in cursor.fetchmany()] == [(2,), (3,)]
        cursor.skip(1)
        assert [row.number for row in cursor] == [5, 6, 7]
        assert "things" in [row.table_name for row in cursor.tables(table="things")]
        assert connection.execute("SELECT ?", 5).fetchval() == 5
        with connection.cursor() as inner:
            inner.execute("SELECT 6")
        with connection:
            connection.execute("SET @seen = 1")
        assert_raises(pyodbc.ProgrammingError, lambda: connection.execute("SELEKT"))
        assert_raises(AttributeError, lambda: connection.no_such_attribute)


def check_undo(port: int) -> None:
    assert_undone("pyodbc", pyodbc)
    with closing(connecting(port)()) as connection:
        assert sql.one(connection, "SELECT 9") == 9
