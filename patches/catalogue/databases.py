"""SQL databases: drivers, and what is built on them."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch, Replacement, Step

PSYCOPG2: Final = Patch(
    name="psycopg2",
    module="psycopg2",
    distribution="psycopg2",
    versions=">=2.9.13,<2.10",
    why="libpq waits for the server and for name servers in C",
    replacements=(Replacement("psycopg2:_connect", "hublet.patches.libraries.psycopg2:connect"),),
    steps=(
        Step(
            "hublet.patches.libraries.psycopg2:install_callback", "hublet.patches.libraries.psycopg2:restore_callback"
        ),
    ),
    cost="a wait on the hub for each answer",
    remedy="replication cursors refuse to work beside a wait callback: consume the stream in a process that is "
    "started with --no-patch psycopg2",
)

SQLITE3: Final = Patch(
    name="sqlite3",
    module="sqlite3",
    why="a wait for another connection's lock, and a long statement, stop every request",
    replacements=tuple(
        Replacement(f"{module}:{name}", f"hublet.patches.libraries.sqlite:{by}")
        for module in ("sqlite3.dbapi2", "sqlite3")
        for name, by in (("connect", "connect"), ("Connection", "Connection"), ("Cursor", "Cursor"))
    ),
    cost="some us a statement; a long statement shares the hub's thread in slices of 2 ms the first time",
    remedy="connect with check_same_thread=False, and statements that have proved long are off-loaded; otherwise a big "
    "sort stalls, as do a commit's fsync, and long statements with cache=shared: use a file in WAL mode",
)

PSYCOPG: Final = Patch(
    name="psycopg",
    module="psycopg",
    distribution="psycopg",
    versions=">=3.3.9,<3.4",
    why="cooperates, unless it was imported before the patching: then it waits in C, and holds native locks",
    replacements=(
        Replacement("psycopg.waiting:wait", "psycopg.waiting:wait_poll"),
        Replacement("psycopg._acompat:Lock", "threading:Lock"),
        Replacement("psycopg.connection:Lock", "threading:Lock"),
    ),
    cost="none",
)

PSYCOPG_INTERRUPTS: Final = Patch(
    name="psycopg-interrupts",
    module="psycopg",
    distribution="psycopg",
    versions=">=3.3.9,<3.4",
    why="a query whose greenlet is killed or times out leaves its connection stuck",
    replacements=(Replacement("psycopg.connection:_INTERRUPTED", "hublet.patches.libraries.psycopg:INTERRUPTED"),),
    cost="none",
    remedy="close the connection after a gevent.Timeout within a query",
)

APSW: Final = Patch(
    name="apsw",
    module="apsw",
    distribution="apsw",
    versions=">=3.54,<3.55",
    why="a wait for another connection's lock stops every request",
    replacements=(Replacement("apsw:Connection", "hublet.patches.libraries.apsw:Connection"),),
    cost="none that can be measured",
    remedy="long statements do not yield: off-load them (hublet.offload), or use sqlite3",
)

#: What runs a query: results are computed while they are fetched. The rest builds relations.
DUCKDB_CALLS: Final = (
    *("execute", "executemany", "sql", "query", "from_query", "begin", "commit", "rollback", "checkpoint"),
    *("fetchall", "fetchone", "fetchmany", "fetchnumpy", "fetchdf", "df"),
    *("read_csv", "read_json", "read_parquet", "install_extension", "load_extension"),
)
DUCKDB_RELATION_CALLS: Final = (
    *("fetchall", "fetchnumpy", "fetchdf", "df", "to_df", "to_dicts", "to_arrow_table", "fetch_arrow_table"),
    *("show", "materialize", "create", "insert_into", "write_csv", "write_parquet"),
)

DUCKDB: Final = Patch(
    name="duckdb",
    module="duckdb",
    distribution="duckdb",
    versions=">=2.0,<2.1",
    effect="off-loaded",
    why="queries run in C",
    cost="315 -> 415 us a SELECT 1 with its fetchall",
    replacements=(
        *(
            Replacement(f"duckdb:DuckDBPyConnection.{each}", "hublet.patches.libraries.duckdb:connection_method", True)
            for each in (*DUCKDB_CALLS, "close")
        ),
        *(
            Replacement(f"duckdb:{each}", "hublet.patches.libraries.duckdb:module_function", True)
            for each in DUCKDB_CALLS
        ),
        *(
            Replacement(f"duckdb:DuckDBPyRelation.{each}", "hublet.patches.libraries.duckdb:relation_method", True)
            for each in DUCKDB_RELATION_CALLS
        ),
    ),
)

PSYCOPG_POOL: Final = Patch(
    name="psycopg_pool",
    module="psycopg_pool",
    distribution="psycopg-pool",
    versions=">=3.3.3,<3.4",
    effect="cooperative",
    why="its workers and its waits are Python's threads and locks",
)

PG8000: Final = Patch(
    name="pg8000",
    module="pg8000.core",
    distribution="pg8000",
    versions=">=1.31.6,<1.32",
    effect="cooperative",
    why="cooperates, but after a query whose greenlet was killed or timed out, the next one gets its reply",
    replacements=(
        Replacement(
            "pg8000.core:CoreConnection.handle_messages", "hublet.patches.libraries.pg8000:reading", wraps=True
        ),
        *(
            Replacement(f"pg8000.core:CoreConnection.{each}", "hublet.patches.libraries.pg8000:executing", wraps=True)
            for each in ("execute_simple", "execute_unnamed", "execute_named", "prepare_statement")
        ),
    ),
    cost="none that can be measured",
    remedy="close the connection after a gevent.Timeout within a query",
)

SQLALCHEMY: Final = Patch(
    name="sqlalchemy",
    module="sqlalchemy.engine.base",
    distribution="SQLAlchemy",
    versions=">=2.1.9,<2.2",
    effect="cooperative",
    why="does as its driver does, and QueuePool waits on the hub; the patch only explains the pools that do not suit",
    replacements=(
        Replacement(
            "sqlalchemy.engine.base:Engine.__init__", "hublet.patches.libraries.sqlalchemy:explaining", wraps=True
        ),
    ),
    cost="none",
    remedy="not StaticPool or SingletonThreadPool, which share or close connections that other greenlets use",
)

DJANGO: Final = Patch(
    name="django",
    module="django.db",
    distribution="Django",
    versions=">=5.2,<5.3",
    effect="cooperative",
    why="does as its driver does; a connection belongs to a thread, and so to a request",
    remedy="CONN_MAX_AGE has no effect, since a request's greenlet is new: for persistent connections use psycopg's "
    "pool (OPTIONS={'pool': True}) or PgBouncer",
)

PATCHES: Final = (
    *(PSYCOPG2, PSYCOPG, PSYCOPG_INTERRUPTS, PSYCOPG_POOL, PG8000),
    *(SQLITE3, APSW, DUCKDB),
    *(SQLALCHEMY, DJANGO),
)
