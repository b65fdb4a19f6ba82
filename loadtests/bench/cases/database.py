"""Requests that query PostgreSQL through psycopg2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ...private.postgresql import is_installed, postgresql
from ..apps.postgres import DSN_FILE, POOL_SIZE, ROWS
from ..launch import Probe
from .case import WAITING_SERVERS, Case, Options
from .hello import COLUMNS, measured_by_wrk
from .hello import obstacle as no_wrk

MISSING: Final = "PostgreSQL is not installed; on Debian and Ubuntu: apt-get install postgresql"
TABLE: Final = (
    f"CREATE TABLE thing AS SELECT id, 'thing ' || id AS name FROM generate_series(1, {ROWS}) AS id; "
    "ALTER TABLE thing ADD PRIMARY KEY (id)"
)


def obstacle(options: Options) -> str | None:
    """Say what to install."""
    return no_wrk(options) or (None if is_installed() else MISSING)


@contextmanager
def database(options: Options, directory: Path) -> Iterator[None]:
    """Run PostgreSQL with a table, on the core of whoever starts it, and write where it is into `directory`."""
    with postgresql() as server:
        server.execute(TABLE)
        (directory / DSN_FILE).write_text(server.dsn)
        yield


POSTGRES: Final = Case(
    name="postgres",
    title="PostgreSQL query",
    method=(
        f"One row by its primary key through psycopg2 and at most {POOL_SIZE} connections; a private PostgreSQL on the "
        "load generator's core; where gevent has patched the server, psycopg2 waits through a callback of gevent's, "
        "and under hublet as its own patch makes it. "
        "wrk, one thread, 64 keep-alive connections."
    ),
    app="loadtests.bench.apps.postgres:query",
    probe=Probe("/", b"thing 7"),
    servers=WAITING_SERVERS,
    needs="wsgi",
    measure=measured_by_wrk(),
    columns=COLUMNS,
    primary="rate",
    more_is_better=True,
    obstacle=obstacle,
    beside=database,
)
