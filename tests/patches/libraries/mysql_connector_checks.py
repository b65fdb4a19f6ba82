"""What is checked of mysql-connector, in a patched process: where its C extension is, it is not used."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import mysql.connector
import mysql.connector.pooling
from mysql.connector.connection import MySQLConnection

from . import sql
from .probe import assert_raises, assert_undone, killed_inside


def connecting(port: int) -> sql.Connect:
    def connect(**options: Any) -> Any:
        collation = "utf8mb4_general_ci"  # MariaDB does not know its default
        return mysql.connector.connect(
            host="127.0.0.1", port=port, user="hublet", password="secret", collation=collation, buffered=True, **options
        )

    return connect


def check_connections_are_pure(port: int) -> None:
    assert mysql.connector.HAVE_CEXT
    for options in ({}, {"use_pure": False}, {"pool_name": "checked", "pool_size": 2}):
        with closing(connecting(port)(**options)) as connection:
            pure = getattr(connection, "_cnx", connection)
            assert type(pure) is MySQLConnection, type(pure)


def check_queries(port: int) -> None:
    sql.queries_yield(connecting(port))


def check_slow_rows(port: int) -> None:
    sql.slow_rows_yield(connecting(port))


def check_transactions(port: int) -> None:
    sql.transactions_hold(connecting(port), "%s")


def check_locks(port: int) -> None:
    sql.waits_for_locks_yield(connecting(port))


def check_kill_and_timeout(port: int) -> None:
    sql.a_kill_leaves_no_answer_behind(connecting(port), mysql.connector.Error)


def check_a_kill_before_the_answer_closes(port: int) -> None:
    """The cursor is used again as it is, so that nothing else can have read the answer."""
    connection = connecting(port)()
    cursor = connection.cursor()
    killed_inside(lambda: cursor.execute("SELECT SLEEP(0.4)"))
    assert_raises(mysql.connector.Error, lambda: cursor.execute("SELECT 'mine'"))
    connection.close()


def check_lost_server(port: int) -> None:
    sql.a_lost_server_is_an_operational_error(connecting(port))


def check_undo(port: int) -> None:
    assert_undone("mysql-connector", mysql.connector, mysql.connector.pooling)
    with closing(connecting(port)()) as connection:
        assert sql.one(connection, "SELECT 9") == 9
