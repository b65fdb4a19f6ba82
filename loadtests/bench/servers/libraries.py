"""What takes the place of servers where libraries are measured: each library, and each pool of native threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final

from ...private.postgresql import PLACES
from ...private.process import program
from .server import LIBRARY, POOL, Server, distributions

# The program of a library's server, its Debian package, and folders to look into.
POSTGRESQL: Final = ("initdb", "postgresql", *PLACES)
MARIADB: Final = ("mariadbd", "mariadb-server-core")
REDIS: Final = ("redis-server", "redis-server")
MEMCACHED: Final = ("memcached", "memcached")
LDAP: Final = ("slapd", "slapd")


def missing_program(*wanted: str) -> str:
    """Say what to install where the server of a library is missing."""
    try:
        program(*wanted)
    except FileNotFoundError as error:
        return str(error)
    return ""


def library(name: str, *server: str, version: Callable[[], str | None] | None = None) -> Server:
    """Describe a library that is measured on a server, if it needs one."""
    installed = version or distributions(name)
    missing = partial(missing_program, *server) if server else str
    return Server(name, (), lambda: None if missing() else installed(), frozenset({LIBRARY}), why_missing=missing)


LIBRARIES: Final = (
    library("psycopg2", *POSTGRESQL, version=distributions("psycopg2-binary")),
    library("psycopg", *POSTGRESQL),
    library("mysqlclient", *MARIADB),
    library("mariadb", *MARIADB),
    library("PyMySQL", *MARIADB),
    library("mysql-connector-python", *MARIADB),
    library("pyodbc", *MARIADB),
    library("sqlite3", version=lambda: f"SQLite {sqlite3.sqlite_version}"),
    library("apsw"),
    library("redis", *REDIS),
    library("pylibmc", *MEMCACHED),
    library("pycurl"),
    library("python-ldap", *LDAP),
    library("pyzmq"),
)
OFFLOAD: Final = "hublet.offload"
THREAD_POOL: Final = "gevent ThreadPool"
POOLS: Final = (
    Server(OFFLOAD, (), distributions("hublet", "gevent"), frozenset({POOL})),
    Server(THREAD_POOL, (), distributions("gevent"), frozenset({POOL})),
)
