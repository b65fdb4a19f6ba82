"""What is checked of mysqlclient, in a patched process."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import MySQLdb
import MySQLdb.connections
import MySQLdb.cursors

from . import sql
from .probe import assert_raises, assert_undone, assert_yields, killed_inside


def connecting(port: int) -> sql.Connect:
    def connect(**options: Any) -> Any:
        return MySQLdb.connect(host="127.0.0.1", port=port, user="hublet", password="secret", **options)

    return connect


def check_queries(port: int) -> None:
    sql.queries_yield(connecting(port))


def check_slow_rows(port: int) -> None:
    sql.slow_rows_yield(connecting(port))


def check_slow_rows_of_a_streaming_cursor(port: int) -> None:
    connect = connecting(port)
    sql.slow_rows_yield(lambda: connect(cursorclass=MySQLdb.cursors.SSCursor))


def check_queries_with_a_time_limit(port: int) -> None:
    """The library's own limit holds: only its own waiting observes it."""
    connect = connecting(port)
    sql.queries_yield(lambda: connect(read_timeout=30))
    with closing(connect(read_timeout=1)) as connection:
        error = assert_raises(MySQLdb.OperationalError, lambda: sql.one(connection, "SELECT SLEEP(20)"))
        assert error.args[0] == 2013, error


def check_transactions(port: int) -> None:
    sql.transactions_hold(connecting(port), "%s")


def check_locks(port: int) -> None:
    sql.waits_for_locks_yield(connecting(port))


def check_kill_and_timeout(port: int) -> None:
    sql.a_kill_leaves_no_answer_behind(connecting(port), MySQLdb.OperationalError)
    connection = connecting(port)()
    sql.kill_inside_query(connection)
    assert_raises(MySQLdb.OperationalError, lambda: sql.one(connection, "SELECT 1"))


def check_kill_inside_fetching(port: int) -> None:
    with closing(connecting(port)(database="test")) as connection:
        cursor = connection.cursor()
        killed_inside(lambda: cursor.execute("SELECT REPEAT('x', 20000), SLEEP(0.1) FROM seq_1_to_5"), after=0.3)
        assert sql.one(connection, "SELECT 10") == 10


def check_lost_server(port: int) -> None:
    sql.a_lost_server_is_an_operational_error(connecting(port))


def check_without_a_hub(port: int) -> None:
    sql.works_without_a_hub(connecting(port))


def check_big_queries_and_results(port: int) -> None:
    with closing(connecting(port)()) as connection:
        cursor = connection.cursor()
        text = "x" * 3_000_000
        cursor.execute("SELECT %s, LENGTH(%s)", (text, text))
        assert cursor.fetchall() == ((text, len(text)),)


def check_several_results(port: int) -> None:
    with closing(connecting(port)()) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1; SELECT 2 WHERE SLEEP(0.01) = 0; DO 3; SELECT 4")
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
        assert found == [((1,),), ((2,),), (), ((4,),)], found
        cursor.execute("SELECT 5; SELECT 6")
        cursor.execute("SELECT 7")  # what is left of a result does not answer the next query
        assert cursor.fetchall() == ((7,),)


def check_streaming_cursor(port: int) -> None:
    with closing(connecting(port)(cursorclass=MySQLdb.cursors.SSDictCursor, database="test")) as connection:
        first, cursor = connection.thread_id(), connection.cursor()
        cursor.execute("SELECT seq FROM seq_1_to_10")
        assert cursor.fetchone() == {"seq": 1}
        assert [each["seq"] for each in cursor.fetchmany(3)] == [2, 3, 4]
        assert [each["seq"] for each in cursor] == [5, 6, 7, 8, 9, 10]
        cursor.execute("SELECT seq FROM seq_1_to_10000")
        cursor.close()
        assert connection.thread_id() == first
    with closing(connecting(port)(cursorclass=MySQLdb.cursors.SSCursor, database="test")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT REPEAT('x', 20000), seq, SLEEP(0.2) FROM seq_1_to_4")
        killed_inside(cursor.fetchone)
        assert [row[1] for row in cursor.fetchall()] == [1, 2, 3, 4]


def check_ping_change_user_and_autocommit(port: int) -> None:
    with closing(connecting(port)(autocommit=True)) as connection:
        connection.ping()
        connection.change_user("hublet", "secret", "test")
        connection.select_db("test")
        connection.autocommit(False)
        assert not connection.get_autocommit()
        assert "Uptime" in str(connection.stat())
        assert connection.show_warnings() == ()
        assert isinstance(connection, MySQLdb.connections.Connection)


def check_local_files(port: int) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(connecting(port)(local_infile=True)) as connection:
        file = Path(folder) / "names"
        file.write_text("loaded one\nloaded two\n")
        cursor = connection.cursor()
        cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE test.things (name)")
        assert cursor.rowcount == 2


def check_a_refused_connection(port: int) -> None:
    error = assert_raises(MySQLdb.OperationalError, lambda: MySQLdb.connect(host="127.0.0.1", port=port, user="nobody"))
    assert error.args[0] == 1045, error


def check_one_connection_of_several_greenlets(port: int) -> None:
    with closing(connecting(port)(autocommit=True)) as connection:
        tasks = [gevent.spawn(connection.ping) for _ in range(20)]
        tasks += [gevent.spawn(connection.query, "DO 1") for _ in range(20)]
        gevent.joinall(tasks, raise_error=True, timeout=10)
        assert sql.one(connection, "SELECT 8") == 8


def check_a_kill_while_another_greenlet_uses_the_connection(port: int) -> None:
    """Who was only waiting for the connection does not close it."""
    with closing(connecting(port)(autocommit=True)) as connection:
        working = gevent.spawn(sql.one, connection, "SELECT 11 + SLEEP(0.3)")
        gevent.sleep(0.05)
        killed_inside(lambda: connection.query("DO 1"), after=0.05)
        assert working.get(timeout=10) == 11
        assert sql.one(connection, "SELECT 12") == 12


def check_commit_yields(port: int) -> None:
    """A COMMIT that has to wait."""
    connect = connecting(port)

    def operation() -> None:
        with closing(connect(init_command="SET SESSION sql_mode=''")) as connection:
            connection.query("SELECT SLEEP(0.2)")
            connection.store_result()
            connection.commit()
            connection.rollback()

    assert_yields(operation)


def check_undo(port: int) -> None:
    assert_undone("mysqlclient", MySQLdb.connections)
    with closing(connecting(port)()) as connection:
        assert sql.one(connection, "SELECT 9") == 9
