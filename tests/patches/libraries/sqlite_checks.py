"""sqlite3, patched: see probe. Everything happens in one folder."""

from __future__ import annotations

import importlib.util
import itertools
import sqlite3
import time
import unittest
import warnings
from _sqlite3 import Connection as NativeConnection
from _sqlite3 import Cursor as NativeCursor
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gevent
from gevent import Timeout
from gevent.monkey import get_original
from hublet.patches.libraries import sqlite, sqlite_long
from hublet.patches.patching import REGISTRY
from hublet.runtime.limits import SQLITE_BACKUP_PAGES, SQLITE_INSTRUCTIONS, SQLITE_LONG_SLICES, SQLITE_SLICE
from hublet.runtime.offload import POOL

from .probe import assert_no_stall, assert_yields, fails, killed_inside

native_sleep: Callable[[float], None] = get_original("time", "sleep")
names = itertools.count()
LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT count(*) FROM n"
#: Of CPython's own suite: a thread is a greenlet of the same native thread, which SQLite has no reason to refuse.
EXPECTED = {"test_check_connection_thread", "test_check_cursor_thread"}
#: From CPython 3.12 on: a warning names the line of its caller, which is in the patch.
EXPECTED_WARNINGS = ("assertEqual(cm.filename, ", "DeprecationWarning not triggered")


def database(folder: str) -> str:
    """A new database with a table."""
    path = str(Path(folder) / f"{next(names)}.db")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER)")
    connection.close()
    return path


def held(path: str, seconds: float) -> sqlite3.Connection:
    """A connection that has the lock, and lets go of it later."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    gevent.spawn_later(seconds, holder.commit)
    return holder


def check_waits_for_locks_yield(folder: str) -> None:
    paths = [database(folder) for _ in range(21)]

    def insert() -> int:
        path = paths.pop() if paths else database(folder)
        holder = held(path, 0.2)
        with sqlite3.connect(path) as connection:
            connection.executemany("INSERT INTO numbers VALUES (?)", ((n,) for n in (1, 2, 3)))
        result: int = connection.execute("SELECT sum(n) FROM numbers").fetchone()[0]
        connection.close()
        holder.close()
        return result

    assert assert_yields(insert) == [6] * 20


def check_every_kind_of_statement_waits(folder: str) -> None:
    path = database(folder)

    def script(connection: sqlite3.Connection) -> Any:
        connection.executescript("BEGIN; INSERT INTO numbers VALUES (1); INSERT INTO numbers VALUES (2); COMMIT;")

    for operation in (
        lambda connection: connection.execute("INSERT INTO numbers VALUES (1)"),
        lambda connection: connection.execute("SELECT * FROM numbers").fetchall(),
        script,
    ):
        holder = held(path, 0.1)
        connection = sqlite3.connect(path)
        began = time.perf_counter()
        operation(connection)
        assert time.perf_counter() - began > 0.05
        connection.close()
        holder.close()


def check_a_commit_waits_for_readers(folder: str) -> None:
    path = database(folder)
    reader = sqlite3.connect(path)
    reader.execute("INSERT INTO numbers VALUES (0), (1)")
    reader.commit()
    reading = reader.execute("SELECT * FROM numbers")
    writer = sqlite3.connect(path)
    writer.execute("INSERT INTO numbers VALUES (2)")
    gevent.spawn_later(0.1, reading.close)
    writer.commit()
    assert writer.execute("SELECT count(*) FROM numbers").fetchone() == (3,)


def reading(path: str, seconds: float) -> None:
    """A reader that keeps others from committing, and ends later."""
    reader = sqlite3.connect(path, isolation_level=None)
    rows = reader.execute("SELECT n FROM numbers")
    assert rows.fetchone() == (0,)
    gevent.spawn_later(seconds, rows.fetchall)


def check_returned_rows_are_committed_after_the_wait(folder: str) -> None:
    """Without a transaction, INSERT ... RETURNING commits where its last row is fetched."""
    path = database(folder)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executemany("INSERT INTO numbers VALUES (?)", ((n,) for n in range(3)))
    insert = "INSERT INTO numbers VALUES (?) RETURNING n"
    fetches: tuple[Any, ...] = (sqlite3.Cursor.fetchone, sqlite3.Cursor.fetchall, next, list)
    for number, fetch in enumerate(fetches, 10):
        reading(path, 0.1)
        assert fetch(connection.execute(insert, (number,))) in ((number,), [(number,)])
    reading(path, 0.1)
    connection.executescript("INSERT INTO numbers VALUES (14) RETURNING n;")
    reading(path, 0.5)
    two = connection.execute("INSERT INTO numbers VALUES (98), (99) RETURNING n")
    assert two.fetchone() == (98,)
    with fails(sqlite3.OperationalError):
        two.fetchone()
    found = connection.execute("SELECT n FROM numbers WHERE n > 9 ORDER BY n").fetchall()
    assert found == [(10,), (11,), (12,), (13,), (14,)], found


def check_a_timeout_in_the_commit_of_a_with_statement_rolls_back(folder: str) -> None:
    path = database(folder)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("INSERT INTO numbers VALUES (0)")
        connection.execute("INSERT INTO numbers VALUES (1)")
    reading(path, 0.3)
    with fails(Timeout), Timeout(0.05), connection:
        connection.execute("INSERT INTO numbers VALUES (2)")
    assert not connection.in_transaction


def check_rows_of_a_script_are_nobodys(_: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = lambda cursor, row: 1 // 0
    cursor = connection.cursor()
    assert cursor.executescript("CREATE TABLE t (n); INSERT INTO t VALUES (1), (2); SELECT n FROM t;") is cursor
    assert cursor.description is None


def check_parameters_of_a_script_are_null(_: str) -> None:
    """As SQLite has them where nobody gives them values."""
    for connection in (sqlite3.connect(":memory:"), NativeConnection(":memory:")):
        connection.executescript("""
            CREATE TABLE t (a, b);
            INSERT INTO t VALUES (?, '?'); INSERT INTO t VALUES (:a, @b); INSERT INTO t VALUES ($a, 2);
            BEGIN; INSERT INTO t VALUES (?2, ?1); INSERT INTO t VALUES (?, 3); COMMIT;
        """)
        rows = connection.execute("SELECT * FROM t").fetchall()
        assert rows == [(None, "?"), (None, None), (None, 2), (None, None), (None, 3)], rows
        with fails(sqlite3.ProgrammingError, "Incorrect number of bindings"):
            connection.execute("SELECT ?")
        connection.close()


def check_semicolons_within_a_statement_cost_nothing(_: str) -> None:
    """Each was a look at the whole statement so far: a minute for five megabytes of text."""
    many = "&nbsp;" * 1000
    script = f"""
        CREATE TABLE "{many}" (n); -- {many}
        CREATE TRIGGER t AFTER INSERT ON "{many}" BEGIN SELECT 1; SELECT '{many}'; END; /* {many} */
        INSERT INTO "{many}" VALUES ('it''s {many}');
    """
    connection = sqlite3.connect(":memory:")
    with patch("sqlite3.complete_statement", wraps=sqlite3.complete_statement) as asked:
        connection.executescript(script)
    assert asked.call_count == 5, asked.call_count  # one for each statement, and for each in the trigger
    assert connection.execute(f'SELECT * FROM "{many}"').fetchall() == [(f"it's {many}",)]
    connection.close()


def check_a_script_leaves_its_transaction_open(folder: str) -> None:
    connection = sqlite3.connect(database(folder), isolation_level=None)
    connection.executescript("PRAGMA busy_timeout = 100; BEGIN; INSERT INTO numbers VALUES (1);")
    assert connection.in_transaction
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (100,)


def check_the_timeout_holds(folder: str) -> None:
    path = database(folder)
    holder = held(path, 5)
    for connection in (sqlite3.connect(path, timeout=0.2), sqlite3.connect(path)):
        assert connection.execute("PRAGMA busy_timeout = 200").fetchone() == (200,)
        began = time.perf_counter()
        with fails(sqlite3.OperationalError, "database is locked"):
            connection.execute("INSERT INTO numbers VALUES (1)")
        assert 0.15 < time.perf_counter() - began < 3
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (200,)
    began = time.perf_counter()
    with fails(sqlite3.OperationalError, "database is locked"):
        sqlite3.connect(path, timeout=0).execute("INSERT INTO numbers VALUES (1)")
    assert time.perf_counter() - began < 0.15
    holder.rollback()


def check_long_statements_yield(folder: str) -> None:
    path = database(folder)
    began = time.perf_counter()
    assert sqlite3.connect(path).execute(LONG.format(1_500_000)).fetchone() == (1_500_000,)
    one = time.perf_counter() - began
    assert one > 0.1

    def query() -> None:
        query = LONG.format(100_000)
        running = [gevent.spawn(lambda: sqlite3.connect(path).execute(query).fetchall()) for _ in range(20)]
        assert [each.get() for each in running] == [[(100_000,)]] * 20

    assert_no_stall(query, max(0.05, one / 4))


def check_rows_that_take_long_yield_too(folder: str) -> None:
    connection = sqlite3.connect(database(folder))
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2400000) SELECT i FROM n"

    def query() -> None:
        cursor = connection.execute(f"{numbers} WHERE i % 1200000 = 0")
        assert cursor.fetchall() == [(1_200_000,), (2_400_000,)]

    assert_no_stall(query)


def check_statements_that_proved_long_are_off_loaded(folder: str) -> None:
    """Sorting is one instruction: only on another thread does it not stall the hub."""
    connection = sqlite3.connect(database(folder), check_same_thread=False)
    connection.create_function("ident", 0, get_original("_thread", "get_ident"))
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000) SELECT i, ident() FROM n"
    )
    query = f"{numbers} ORDER BY i * 7919 % 100003"
    here = get_original("_thread", "get_ident")()
    first, second = (dict(connection.execute(query).fetchmany(5)) for _ in range(2))
    assert set(first.values()) == {here}
    assert first.keys() == second.keys()
    assert here not in second.values()
    with fails(Timeout), Timeout(0.01):
        connection.execute(query)
    sorting = gevent.spawn(connection.execute, query)
    gevent.sleep(0.01)
    began = time.perf_counter()
    assert connection.execute("SELECT 1").fetchone() == (1,)  # after it
    assert sorting.ready(), time.perf_counter() - began
    strict = sqlite3.connect(database(folder))
    strict.create_function("ident", 0, get_original("_thread", "get_ident"))
    assert strict.execute(query).fetchone()[1] == here


def check_functions_may_query_while_their_statement_is_off_loaded(folder: str) -> None:
    connection = sqlite3.connect(database(folder), check_same_thread=False)
    connection.executemany("INSERT INTO numbers VALUES (?)", ((n,) for n in range(3)))

    def count(_: int) -> int:
        time.sleep(0.001)
        result: int = connection.execute("SELECT count(*) FROM numbers").fetchone()[0]
        return result

    connection.create_function("total", 1, count)
    query = "SELECT total(n) FROM numbers"
    sqlite_long.remember(query)
    with Timeout(10):
        assert connection.execute(query).fetchall() == [(3,)] * 3


def check_killed_and_timed_out(folder: str) -> None:
    path = database(folder)
    connection = sqlite3.connect(path)
    with fails(Timeout), Timeout(0.05):
        connection.execute(LONG.format(100_000_000)).fetchall()
    running = gevent.spawn(connection.execute, LONG.format(100_000_000))
    gevent.sleep(0.05)
    running.kill()
    assert isinstance(running.value, gevent.GreenletExit)
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    holder = held(path, 5)
    waiting = gevent.spawn(connection.execute, "INSERT INTO numbers VALUES (1)")
    gevent.sleep(0.02)
    waiting.kill()
    holder.commit()
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (0,)


def check_killed_before_a_thread_has_come_to_the_statement(folder: str) -> None:
    """It ends at once, and the statement is never executed, whatever becomes of the connection."""
    insert = "INSERT INTO numbers SELECT 1"
    sqlite_long.remember(insert)
    connection = sqlite3.connect(database(folder), isolation_level=None, check_same_thread=False)
    threads = POOL.threads
    POOL.threads = max(1, POOL.statistics().threads)
    busy = [gevent.spawn(POOL.call, native_sleep, 1) for _ in range(POOL.threads)]
    gevent.sleep(0.01)
    try:
        assert killed_inside(lambda: connection.execute(insert)) < 0.5
        with fails(Timeout, "0.05"), Timeout(0.05):
            connection.execute(insert)
        connection.execute("INSERT INTO numbers VALUES (2)")
        assert not any(each.ready() for each in busy)
    finally:
        POOL.threads = threads
        gevent.joinall(busy)
    POOL.call(native_sleep, 0.05)
    assert connection.execute("SELECT n FROM numbers").fetchall() == [(2,)]
    connection.execute(insert)
    assert connection.execute("SELECT n FROM numbers").fetchall() == [(2,), (1,)]


def check_the_slices_of_a_statement(folder: str) -> None:
    """Those that make it long, the time of one, and the instructions between two looks at the clock."""
    connection = sqlite3.connect(database(folder))
    for slices in (SQLITE_LONG_SLICES - 1, SQLITE_LONG_SLICES, SQLITE_LONG_SLICES + 1):
        connection.hublet_sql, connection.hublet_slices_taken = f"SELECT {slices}", 0  # type: ignore[attr-defined]
        for _ in range(slices):
            sqlite.turn.is_over()
            sqlite.turn.began = time.perf_counter() - 1
            assert not connection._progress()  # type: ignore[attr-defined]
        assert sqlite_long.is_long(f"SELECT {slices}") == (slices >= SQLITE_LONG_SLICES)
    gevent.sleep(0.01)
    assert not sqlite.turn.is_over(), "it has just begun"
    began = sqlite.turn.began
    assert began is not None
    for seconds, over in ((SQLITE_SLICE - 0.0001, False), (SQLITE_SLICE + 0.0001, True)):
        with patch.object(sqlite, "perf_counter", lambda seconds=seconds: began + seconds):
            assert sqlite.turn.is_over() is over


def looks(connection: sqlite3.Connection, handler: list[int], n: int = 0) -> int:
    """How often SQLite calls back during a statement: our own handler, or one that is set here for every `n`."""
    if n:
        connection.set_progress_handler(lambda: handler.append(1), n)
    connection.execute(LONG.format(1_000_000)).fetchone()
    return len(handler)


def check_how_often_the_clock_is_looked_at(_: str) -> None:
    calls: list[int] = []

    class Counting(sqlite3.Connection):
        def _progress(self) -> bool:
            calls.append(1)
            return False

    ours = looks(sqlite3.connect(":memory:", factory=Counting), calls)
    fewer, as_many, more = (
        looks(NativeConnection(":memory:"), [], SQLITE_INSTRUCTIONS + difference) for difference in (1, 0, -1)
    )
    assert fewer < as_many == ours < more


def check_backup_has_a_turn_after_some_pages(_: str) -> None:
    source = sqlite3.connect(":memory:", isolation_level=None)
    source.execute("CREATE TABLE pages (content)")
    turns = list[float]()
    for pages in (SQLITE_BACKUP_PAGES - 1, SQLITE_BACKUP_PAGES, SQLITE_BACKUP_PAGES + 1):
        while source.execute("PRAGMA page_count").fetchone()[0] < pages:
            source.execute("INSERT INTO pages VALUES (zeroblob(4000))")
        assert source.execute("PRAGMA page_count").fetchone() == (pages,)
        turns.clear()
        with patch.object(sqlite, "pause", turns.append):
            source.backup(sqlite3.connect(":memory:"))
        assert len(turns) == (2 if pages > SQLITE_BACKUP_PAGES else 1), (pages, turns)


def check_a_connection_shared_by_greenlets(folder: str) -> None:
    connection = sqlite3.connect(database(folder))
    running = [gevent.spawn(lambda: connection.execute(LONG.format(50_000)).fetchone()) for _ in range(5)]
    short = gevent.spawn(lambda: connection.execute("SELECT 1").fetchone())
    assert [each.get() for each in running] == [(50_000,)] * 5
    assert short.get() == (1,)


def check_backup_yields(folder: str) -> None:
    source = sqlite3.connect(database(folder))
    source.execute(f"INSERT INTO numbers {LONG.format(400_000).replace('count(*)', 'i')}")
    source.commit()
    target = sqlite3.connect(":memory:")
    seen: list[tuple[int, int, int]] = []

    def backup() -> None:
        seen.clear()
        source.backup(target, progress=lambda *state: seen.append(state))

    assert_no_stall(backup)
    assert len(seen) == 1  # as with all pages at once
    assert seen[0][:2] == (sqlite3.SQLITE_DONE, 0)
    assert target.execute("SELECT count(*) FROM numbers").fetchone() == (400_000,)
    with fails(TypeError, "must be a callable"):
        source.backup(target, progress="no function")  # type: ignore[arg-type]


def check_a_shared_cache_does_not_hang(_: str) -> None:
    shared = "file:shared?mode=memory&cache=shared"
    first, second = (sqlite3.connect(shared, uri=True) for _ in range(2))
    running = [gevent.spawn(lambda c=c: c.execute(LONG.format(300_000)).fetchone()) for c in (first, second)]
    assert [each.get() for each in running] == [(300_000,)] * 2


def check_native_threads(folder: str) -> None:
    path, results = database(folder), []

    def query() -> None:
        connection = sqlite3.connect(path, timeout=0.1)
        results.append(connection.execute(LONG.format(100_000)).fetchone())
        results.append(connection.execute("PRAGMA busy_timeout").fetchone())

    get_original("_thread", "start_new_thread")(query, ())
    while len(results) < 2:
        gevent.sleep(0.005)
    assert results == [(100_000,), (100,)]


def check_classes(folder: str) -> None:
    class Mine(NativeConnection):  # made before the patching
        pass

    class Rows(NativeCursor):
        pass

    connection = sqlite3.connect(database(folder), factory=Mine)
    assert isinstance(connection, Mine)
    assert isinstance(connection, sqlite3.Connection)
    assert type(sqlite3.connect(":memory:")) is sqlite3.Connection
    assert isinstance(connection.cursor(Rows), Rows)
    assert isinstance(connection.execute("SELECT 1"), sqlite3.Cursor)
    connection.row_factory = sqlite3.Row
    assert connection.execute("SELECT 1 AS one").fetchone()["one"] == 1
    assert [row["one"] for row in connection.execute("SELECT 1 AS one")] == [1]
    connection.create_function("double", 1, lambda value: value * 2)
    assert connection.execute("SELECT double(21)").fetchone()[0] == 42


def check_arguments_of_connect(_: str) -> None:
    """By position, too, which CPython 3.13 warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        connection = sqlite3.connect(":memory:", 0.1, 0, None, False)
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (100,)
        with fails(TypeError):
            sqlite3.Connection(":memory:", 0.1, timeout=0.1)  # type: ignore[misc]
        with fails(TypeError):
            sqlite3.Connection(":memory:", 0.1, 0, None, True, isolation_level=None)  # type: ignore[misc]
        with fails(TypeError):
            sqlite3.Connection(":memory:", 0.1, 0, None, True, sqlite3.Connection, 1, False, 1)  # type: ignore[call-arg]
    assert connection.isolation_level is None
    assert sqlite3.connect(":memory:", timeout=0.2).execute("PRAGMA busy_timeout").fetchone() == (200,)
    assert gevent.get_hub().threadpool.apply(lambda: connection.execute("SELECT 1").fetchone()) == (1,)


def check_the_suite_of_cpython(_: str) -> None:
    assert importlib.util.find_spec("test.test_sqlite3"), "install Python's own tests (Debian: libpython3-testsuite)"
    package = import_module("test.test_sqlite3")
    suite = unittest.TestSuite()
    for path in sorted(Path(package.__path__[0]).glob("test_*.py")):
        suite.addTest(unittest.defaultTestLoader.loadTestsFromName(f"test.test_sqlite3.{path.stem}"))
    with Path("/dev/null").open("w") as quiet:
        result = unittest.TextTestRunner(stream=quiet).run(suite)
    assert result.testsRun > 300
    failed = {case.id(): text for case, text in (*result.failures, *result.errors)}
    unexpected = [
        text
        for name, text in failed.items()
        if not any(each in name for each in EXPECTED) and not any(each in text for each in EXPECTED_WARNINGS)
    ]
    assert not unexpected, "\n".join(unexpected)


def check_undoing(_: str) -> None:
    """The last check."""
    REGISTRY.undo()
    for module in (sqlite3, import_module("sqlite3.dbapi2")):
        assert module.connect is sqlite.native_connect
        assert (module.Connection, module.Cursor) == (NativeConnection, NativeCursor)
    before = dict(vars(sqlite3))
    REGISTRY.apply()
    assert sqlite3.connect is sqlite.connect
    REGISTRY.undo()
    assert dict(vars(sqlite3)) == before
