"""SQLAlchemy's pools on psycopg2 and sqlite3, patched: see probe."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import gevent
import sqlalchemy
from hublet.patches.patching import REGISTRY
from sqlalchemy import create_engine, pool, text

from .probe import assert_yields, fails

logging.lastResort = None
lines: list[str] = []


class Kept(logging.Handler):
    """Keeps what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        lines.append(record.getMessage())


logging.getLogger("hublet.patches").addHandler(Kept())


def url(dsn: str, driver: str) -> str:
    """An engine's URL."""
    parts = dict(each.split("=") for each in dsn.split())
    return f"postgresql+{driver}://{parts['user']}@{parts['host']}:{parts['port']}/{parts['dbname']}"


def query(engine: sqlalchemy.Engine) -> Any:
    with engine.begin() as connection:
        return connection.execute(text("SELECT 7, pg_sleep(0.2)")).scalar()


def check_queue_pool_yields(dsn: str) -> None:
    for driver in ("psycopg2", "psycopg"):
        engine = create_engine(url(dsn, driver), pool_size=10, max_overflow=10)
        gevent.joinall([gevent.spawn(query, engine) for _ in range(20)], raise_error=True)
        assert assert_yields(partial(query, engine)) == [7] * 20
        engine.dispose()


def check_a_full_queue_pool_waits_on_the_hub(dsn: str) -> None:
    engine = create_engine(url(dsn, "psycopg2"), pool_size=2, max_overflow=0)
    running = [gevent.spawn(query, engine) for _ in range(6)]
    assert [each.get() for each in running] == [7] * 6
    engine.dispose()


def check_null_and_assertion_pools(dsn: str) -> None:
    engine = create_engine(url(dsn, "psycopg2"), poolclass=pool.NullPool)
    assert [each.get() for each in [gevent.spawn(query, engine) for _ in range(5)]] == [7] * 5
    engine = create_engine(url(dsn, "psycopg2"), poolclass=pool.AssertionPool)
    running = gevent.spawn(query, engine)
    gevent.sleep(0.05)
    with fails(AssertionError, "already checked out"):
        engine.connect()
    assert running.get() == 7
    engine.dispose()
    assert lines == []


def check_pools_that_do_not_suit_are_explained(dsn: str) -> None:
    engine = create_engine(url(dsn, "psycopg2"), poolclass=pool.StaticPool)
    assert "StaticPool of postgresql+psycopg2://" in lines[0]
    assert "one connection for all greenlets" in lines[0]
    assert "use QueuePool or NullPool" in lines[0]
    running = [gevent.spawn(query, engine) for _ in range(3)]
    gevent.joinall(running, timeout=5)
    assert all(each.ready() for each in running), "it hangs"
    create_engine("sqlite://", poolclass=pool.SingletonThreadPool)
    assert "SingletonThreadPool of sqlite:// has a connection for each thread" in lines[1]


def check_undoing(_: str) -> None:
    """The last check."""
    REGISTRY.undo()
    before = dict(vars(sqlalchemy.Engine))
    REGISTRY.apply()
    REGISTRY.undo()
    assert dict(vars(sqlalchemy.Engine)) == before
