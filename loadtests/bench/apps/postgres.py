"""A query of one row by its key, through psycopg2 and a pool of connections."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg2

from . import green_psycopg2

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

POOL_SIZE: Final = 32
DSN_FILE: Final = "postgres.dsn"
QUERY: Final = "SELECT name FROM thing WHERE id = %s"
ROWS: Final = 1000

green_psycopg2.make_green()
# Places of a stack, so that a server that has one request at a time makes one connection.
pool: queue.LifoQueue[psycopg2.extensions.connection | None] = queue.LifoQueue()
for _ in range(POOL_SIZE):
    pool.put(None)


def connect() -> psycopg2.extensions.connection:
    """Connect to the database of the case."""
    connection = psycopg2.connect((Path(os.environ["BENCH_DIRECTORY"]) / DSN_FILE).read_text())
    connection.autocommit = True
    return connection


def query(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer the name in a row."""
    connection = pool.get()
    try:
        if connection is None:
            connection = connect()
        with connection.cursor() as cursor:
            cursor.execute(QUERY, (7,))
            ((name,),) = cursor.fetchall()
    finally:
        pool.put(connection)
    body = name.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
