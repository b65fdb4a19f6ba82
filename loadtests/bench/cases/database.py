"""Requests that query PostgreSQL through psycopg2."""

from __future__ import annotations

from typing import Final

from ..apps.postgres import POOL_SIZE
from ..launch import Probe
from ..postgres import MISSING, postgres, programs
from .case import WAITING_SERVERS, Case, Options
from .hello import COLUMNS, measured_by_wrk
from .hello import obstacle as no_wrk


def obstacle(options: Options) -> str | None:
    """Say what to install."""
    return no_wrk(options) or (None if programs() else MISSING)


POSTGRES: Final = Case(
    name="postgres",
    title="PostgreSQL query",
    method=(
        f"One row by its primary key through psycopg2 and at most {POOL_SIZE} connections; a private PostgreSQL on the "
        "load generator's core; where gevent has patched the server, psycopg2 waits through a callback of gevent's. "
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
    beside=lambda options, directory: postgres(directory, options.load_core),
)
