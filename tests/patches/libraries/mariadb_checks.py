"""What is checked of mariadb, in a patched process."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import gevent
import mariadb

from . import sql
from .probe import assert_raises, assert_undone, killed_inside


def connecting(port: int) -> sql.Connect:
    def connect(**options: Any) -> Any:
        return mariadb.connect(host="127.0.0.1", port=port, user="hublet", password="secret", **options)

    return connect


def check_queries(port: int) -> None:
    sql.queries_yield(connecting(port))


def check_transactions(port: int) -> None:
    sql.transactions_hold(connecting(port), "?")


def check_locks(port: int) -> None:
    sql.waits_for_locks_yield(connecting(port))


def check_kill_and_timeout(port: int) -> None:
    sql.a_kill_leaves_no_answer_behind(connecting(port), mariadb.Error)


def check_a_kill_inside_fetching_closes(port: int) -> None:
    connection = connecting(port)(database="test")
    cursor = connection.cursor(buffered=False)
    cursor.execute("SELECT REPEAT('x', 20000), seq, SLEEP(0.2) FROM seq_1_to_4")
    killed_inside(cursor.fetchone)
    assert_raises(mariadb.ProgrammingError, cursor.fetchone)


def check_lost_server(port: int) -> None:
    sql.a_lost_server_is_an_operational_error(connecting(port))


def check_without_a_hub(port: int) -> None:
    sql.works_without_a_hub(connecting(port))


def check_the_rest_of_a_connection(port: int) -> None:
    with closing(connecting(port)(autocommit=True)) as connection:
        connection.ping()
        connection.database = "test"
        assert connection.database == "test"
        connection.change_user("hublet", "secret", "test")
        connection.autocommit = False
        connection.reset()
        connection.reconnect()
        connection.begin()
        connection.rollback()
        cursor = connection.cursor(dictionary=True)
        cursor.execute("SELECT seq AS number FROM seq_1_to_3")
        assert list(cursor) == [{"number": 1}, {"number": 2}, {"number": 3}]


def check_a_pool_lends_each_connection_once(port: int) -> None:
    pool = mariadb.ConnectionPool(
        pool_name="checked", pool_size=4, pool_validation_interval=0,
        host="127.0.0.1", port=port, user="hublet", password="secret",
    )  # fmt: skip
    lent: set[int] = set()

    def use() -> None:
        for _ in range(20):
            connection = pool.get_connection()
            number = connection.connection_id
            assert number not in lent
            lent.add(number)
            assert sql.one(connection, "SELECT 3") == 3
            lent.discard(number)
            connection.close()

    gevent.joinall([gevent.spawn(use) for _ in range(4)], raise_error=True, timeout=20)
    pool.close()


def check_a_refused_connection(port: int) -> None:
    assert_raises(mariadb.OperationalError, lambda: mariadb.connect(host="127.0.0.1", port=port, user="nobody"))


def check_undo(port: int) -> None:
    assert_undone("mariadb", mariadb, mariadb.connections.Connection, mariadb.cursors.Cursor)
    with closing(connecting(port)()) as connection:
        assert sql.one(connection, "SELECT 9") == 9
