"""What every driver of a SQL server is checked for, whatever its name and its placeholders."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import gevent

from .probe import assert_raises, assert_yields, killed_inside

Connect = Callable[..., Any]


def one(connection: Any, statement: str, *arguments: Any) -> Any:
    """Execute a statement and return the first value of its result."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement, *arguments)
        return cursor.fetchone()[0]


def queries_yield(connect: Connect) -> None:
    """Queries on a connection each, from the connecting to the closing."""

    def operation() -> None:
        with closing(connect()) as connection:
            assert one(connection, "SELECT SLEEP(0.2)") == 0

    assert_yields(operation)


def slow_rows_yield(connect: Connect) -> None:
    """A result whose rows come slowly: the server's buffer fills and is sent while the query still runs."""
    statement = "SELECT REPEAT('x', 20000), SLEEP(0.05) FROM (VALUES (1),(2),(3),(4),(5),(6)) AS rows_of"

    def operation() -> None:
        with closing(connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            assert [len(row[0]) for row in cursor.fetchall()] == [20000] * 6

    assert_yields(operation)


def transactions_hold(connect: Connect, mark: str) -> None:
    """What is committed stays, what is rolled back does not, and a duplicate is the driver's own error."""
    insert = f"INSERT INTO test.things (name) VALUES ({mark})"
    count = "SELECT COUNT(*) FROM test.things"
    with closing(connect()) as connection, closing(connect()) as other:
        cursor = connection.cursor()
        cursor.execute("DELETE FROM test.things")
        connection.commit()
        cursor.execute(insert, ("first",))
        assert cursor.rowcount == 1
        assert one(other, count) == 0
        other.rollback()
        connection.commit()
        assert one(other, count) == 1
        other.rollback()
        cursor.executemany(insert, [("second",), ("third",)])
        assert one(connection, count) == 3
        connection.rollback()
        assert one(connection, count) == 1
        error = assert_raises(Exception, lambda: cursor.execute(insert, ("first",)))
        assert type(error).__name__ == "IntegrityError", repr(error)
        connection.rollback()
        assert one(connection, "SELECT 'still there'") == "still there"


def waits_for_locks_yield(connect: Connect) -> None:
    """COMMIT and a lock wait: another greenlet can release the lock that this one waits for."""
    with closing(connect()) as holder, closing(connect()) as waiter:
        assert one(holder, "SELECT GET_LOCK('turn', 5)") == 1
        waiting = gevent.spawn(one, waiter, "SELECT GET_LOCK('turn', 10)")
        gevent.sleep(0.1)
        assert not waiting.ready()
        assert one(holder, "SELECT RELEASE_LOCK('turn')") == 1
        assert waiting.get(timeout=10) == 1


def a_kill_leaves_no_answer_behind(connect: Connect, error: type[Exception]) -> None:
    """After a kill or a timeout inside a query a connection answers the next one, or is closed: never the last one."""
    for interrupt in (kill_inside_query, time_out_inside_query):
        with closing(connect()) as connection:
            interrupt(connection)
            with gevent.Timeout(5), suppress(error):
                assert one(connection, "SELECT 'mine'") == "mine"


def kill_inside_query(connection: Any) -> None:
    assert killed_inside(lambda: one(connection, "SELECT SLEEP(0.4)")) < 2


def time_out_inside_query(connection: Any) -> None:
    def operation() -> None:
        with gevent.Timeout(0.05):
            one(connection, "SELECT SLEEP(0.4)")

    assert_raises(gevent.Timeout, operation)


def a_lost_server_is_an_operational_error(connect: Connect, identity: str = "SELECT CONNECTION_ID()") -> None:
    """A connection that the server ends inside a query raises the driver's own exception."""
    with closing(connect()) as other:
        connection = connect()
        running = gevent.spawn(assert_raises, Exception, lambda: one(connection, "SELECT SLEEP(5)"))
        number = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(5)%'"
        with gevent.Timeout(10):
            while not one(other, number):
                gevent.sleep(0.01)
        which = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(5)%'"
        other.cursor().execute(f"KILL {one(other, which)}")
        error = running.get(timeout=10)
        assert "Error" in type(error).__name__, repr(error)
        assert type(error).__mro__[1].__name__ in {"DatabaseError", "Error", "MySQLError"}, type(error).__mro__


def works_without_a_hub(connect: Connect) -> None:
    """In a native thread, which has no hub, and in a callback of the hub itself."""
    found: list[Any] = []

    def use() -> None:
        try:
            with closing(connect()) as connection:
                connection.commit()
                found.append(one(connection, "SELECT 7"))
        except BaseException as error:
            found.append(error)

    gevent.get_hub().threadpool.apply(use)
    gevent.get_hub().loop.run_callback(use)
    with gevent.Timeout(10):
        while len(found) < 2:
            gevent.sleep(0.01)
    assert found == [7, 7], found
