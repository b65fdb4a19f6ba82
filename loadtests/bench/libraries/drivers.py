"""What is measured of each library: a small operation, and one that waits for 200 ms.

A driver is imported by its own function only, after the patching. Every operation gets what it works on before the
measurement begins: connecting is not measured.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from gevent.monkey import get_original

WAIT: Final = 0.2  # seconds
Addresses = Mapping[str, Any]
Operation = Callable[[], object]
names: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class Driver:
    """Makes operations, each on a connection of its own. `small` says in words what the small one is."""

    small: str
    make_small: Callable[[], Operation]
    make_slow: Callable[[], Operation]


def database(module: str, sleep: str, /, *arguments: Any, **keywords: Any) -> Driver:
    """A driver with the interface of PEP 249, and what its `connect` takes."""
    driver = import_module(module)

    def asking(statement: str) -> Operation:
        connection = driver.connect(*arguments, **keywords)

        def ask() -> object:
            cursor = connection.cursor()
            cursor.execute(statement)
            rows = cursor.fetchall()
            cursor.close()
            return rows

        return ask

    return Driver("SELECT 1", lambda: asking("SELECT 1"), lambda: asking(sleep))


def postgresql(module: str, addresses: Addresses) -> Driver:
    """A driver of PostgreSQL."""
    return database(module, f"SELECT pg_sleep({WAIT})", addresses["postgresql"])


def mariadb(module: str, addresses: Addresses, **keywords: Any) -> Driver:
    """A driver of MariaDB."""
    account = {"host": "127.0.0.1", "port": addresses["mariadb"], "user": "hublet", "password": "secret"}
    return database(module, f"SELECT SLEEP({WAIT})", **account, **keywords)


def odbc(addresses: Addresses) -> Driver:
    """An ODBC driver of MariaDB."""
    where = f"SERVER=127.0.0.1;PORT={addresses['mariadb']};UID=hublet;PWD=secret"
    return database("pyodbc", f"SELECT SLEEP({WAIT})", f"DRIVER={{MariaDB Unicode}};{where}")


def lock_holder(connect: Callable[[str], Any], path: str) -> Operation:
    """Let a native thread hold a database's lock; what is returned lets it go after the wait, and returns at once."""
    start, allocate = get_original("_thread", ("start_new_thread", "allocate_lock"))
    sleep = get_original("time", "sleep")
    held, go = allocate(), allocate()
    held.acquire()
    go.acquire()

    def hold() -> None:
        connection = connect(path)
        connection.execute("BEGIN EXCLUSIVE")
        held.release()
        go.acquire()
        sleep(WAIT)
        connection.execute("COMMIT")
        connection.close()

    start(hold, ())
    held.acquire()
    return go.release  # type: ignore[no-any-return]


def sqlite(connect: Callable[[str], Any], addresses: Addresses) -> Driver:
    """SQLite, whose waits are those for another connection's lock."""

    def make() -> tuple[str, Any]:
        path = str(Path(addresses["directory"]) / f"{next(names)}.sqlite")
        connection = connect(path)
        connection.execute("PRAGMA synchronous=OFF")  # the disk is not what is measured
        connection.execute("CREATE TABLE IF NOT EXISTS numbers (n INTEGER)")
        return path, connection

    def small() -> Operation:
        _, connection = make()
        return lambda: connection.execute("SELECT 1").fetchall()

    def slow() -> Operation:
        path, connection = make()
        let_go = lock_holder(connect, path)

        def insert() -> None:
            let_go()
            connection.execute("INSERT INTO numbers VALUES (1)")

        return insert

    return Driver("SELECT 1", small, slow)


def sqlite3(addresses: Addresses) -> Driver:
    """SQLite by the standard library."""
    module = import_module("sqlite3")
    return sqlite(lambda path: module.connect(path, timeout=30, isolation_level=None), addresses)


def apsw(addresses: Addresses) -> Driver:
    """SQLite by apsw."""
    module = import_module("apsw")

    def connect(path: str) -> Any:
        connection = module.Connection(path)
        connection.set_busy_timeout(30_000)
        return connection

    return sqlite(connect, addresses)


def redis(addresses: Addresses) -> Driver:
    """Redis; what waits is BLPOP on a list that stays empty."""
    module = import_module("redis")

    def client() -> Any:
        made = module.Redis(port=addresses["redis"])
        made.ping()
        return made

    def slow() -> Operation:
        made = client()
        return lambda: made.blpop(["empty"], timeout=WAIT)

    def small() -> Operation:
        made = client()
        return lambda: made.get("nothing")

    return Driver("GET", small, slow)


def pylibmc(addresses: Addresses) -> Driver:
    """Memcached, which has no command that waits: a proxy passes requests on late."""
    module = import_module("pylibmc")

    def getting(port: int) -> Operation:
        client = module.Client([f"127.0.0.1:{port}"])
        return lambda: client.get("nothing")

    return Driver("get", lambda: getting(addresses["memcached"]), lambda: getting(addresses["slow memcached"]))


def pycurl(addresses: Addresses) -> Driver:
    """HTTP by libcurl."""
    module = import_module("pycurl")

    def fetching(port: int) -> Operation:
        curl = module.Curl()
        curl.setopt(curl.URL, f"http://127.0.0.1:{port}/")
        curl.setopt(curl.WRITEFUNCTION, lambda data: None)
        return curl.perform  # type: ignore[no-any-return]

    return Driver("GET, keep-alive", lambda: fetching(addresses["http"]), lambda: fetching(addresses["slow http"]))


def ldap(addresses: Addresses) -> Driver:
    """A directory, which is asked for its root entry."""
    module = import_module("ldap")

    def searching(port: int) -> Operation:
        directory = module.initialize(f"ldap://127.0.0.1:{port}")
        return lambda: directory.search_s("", module.SCOPE_BASE, "(objectClass=*)")

    return Driver("search", lambda: searching(addresses["ldap"]), lambda: searching(addresses["slow ldap"]))


def pyzmq(addresses: Addresses) -> Driver:
    """A pair of sockets of one process."""
    zmq = import_module("zmq")
    context = zmq.Context()

    def pair() -> tuple[Any, Any]:
        ours, theirs = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        ours.connect(f"tcp://127.0.0.1:{theirs.bind_to_random_port('tcp://127.0.0.1')}")
        return ours, theirs

    def small() -> Operation:
        ours, theirs = pair()

        def exchange() -> object:
            theirs.send(b"x")
            return ours.recv()

        return exchange

    def slow() -> Operation:
        ours, theirs = pair()
        return lambda: (ours.poll(int(WAIT * 1000)), theirs)

    return Driver("send and recv", small, slow)


DRIVERS: Final[Mapping[str, Callable[[Addresses], Driver]]] = {
    "psycopg2": lambda addresses: postgresql("psycopg2", addresses),
    "psycopg": lambda addresses: postgresql("psycopg", addresses),
    "mysqlclient": lambda addresses: mariadb("MySQLdb", addresses),
    "mariadb": lambda addresses: mariadb("mariadb", addresses),
    "PyMySQL": lambda addresses: mariadb("pymysql", addresses, ssl_disabled=True),
    # MariaDB does not know its default collation.
    "mysql-connector-python": lambda addresses: mariadb(
        "mysql.connector", addresses, collation="utf8mb4_general_ci", buffered=True
    ),
    "pyodbc": odbc,
    "sqlite3": sqlite3,
    "apsw": apsw,
    "redis": redis,
    "pylibmc": pylibmc,
    "pycurl": pycurl,
    "python-ldap": ldap,
    "pyzmq": pyzmq,
}
