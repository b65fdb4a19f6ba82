"""`--probe`: measures each driver against a server from the application's settings, or one that `--dsn` names."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from .findings import Measured
from .measuring import LENGTH, OPERATIONS, Probe, measure, one_line

VARIABLES: Final = ("DATABASE_URL", "REDIS_URL")
POSTGRESQL, MYSQL = f"SELECT pg_sleep({LENGTH})", f"SELECT SLEEP({LENGTH})"
#: What waits in each kind of database, by the names of Django's backends and SQLAlchemy's dialects.
SLEEPS: Final = {"postgresql": POSTGRESQL, "mysql": MYSQL, "mariadb": MYSQL}
#: Names of options that are text, though they may look like numbers.
CREDENTIALS: Final = frozenset({"user", "password", "passwd"})
NO_KEY: Final = "hublet-doctor-no-such-key"


def probe_all(dsns: Iterable[str], operations: int = OPERATIONS) -> list[Measured]:
    """Measure whatever can be found; a server that is not there is one result that failed."""
    found = []
    for name, make in find_probes(dsns, operations):
        try:
            probe, count = make()
        except Exception as error:
            found.append(Measured(name, 0.0, operations, 0.0, 0.0, "failed", one_line(error)))
        else:
            found.append(measure(probe, count))
    return found


Make = Callable[[], tuple[Probe, int]]


def find_probes(dsns: Iterable[str], operations: int) -> Iterator[tuple[str, Make]]:
    """Yield a name and what makes the probe and says how many operations it can make at once."""
    texts = {f"{variable}": os.environ[variable] for variable in VARIABLES if os.environ.get(variable)}
    for origin, text in [("--dsn", each) for each in dsns] + list(texts.items()):
        yield from probes_of_dsn(origin, text, operations)
    for alias, database in django_databases().items():
        yield (
            f"Django's database {alias!r}",
            lambda alias=alias, database=database: (  # type: ignore[misc]
                django_probe(alias, database),
                operations,
            ),
        )
    for engine in sqlalchemy_engines():
        yield f"SQLAlchemy's engine {engine.url!r}", lambda engine=engine: engine_probe(engine, operations)  # type: ignore[misc]


# By DSN.


def probes_of_dsn(origin: str, text: str, operations: int) -> Iterator[tuple[str, Make]]:
    """Yield the probes of each installed driver that understands a DSN; those that are loaded, if any is."""
    url = urlsplit(text)
    scheme, _, driver = url.scheme.partition("+")
    drivers = DRIVERS.get({"postgres": "postgresql", "mariadb": "mysql", "rediss": "redis"}.get(scheme, scheme), {})
    named = [each for each in drivers if each.lower() == driver]  # a scheme is given in small letters
    names = named or [each for each in drivers if find_spec(each.partition(".")[0])]
    names = [each for each in names if each in sys.modules] or names
    if not names:
        known = ", ".join(DRIVERS)
        reason = f"no driver for {scheme}: is installed" if drivers else f"{scheme}: is none of {known}"
        yield f"{origin}, {scheme}", lambda: refuse(reason)
    for name in names:
        yield f"{name} ({origin})", lambda name=name: (drivers[name](f"{name} ({origin})", url), operations)  # type: ignore[misc]


def refuse(reason: str) -> tuple[Probe, int]:
    """There is nothing to measure."""
    raise ValueError(reason)


def parts(url: SplitResult, names: Mapping[str, str]) -> dict[str, Any]:
    """The arguments for a driver's connect: what each part of a DSN is called there, and its query as it is.

    Raises ValueError where the query is no list of `name=value`, or names one twice.
    """
    found = {
        "host": url.hostname or "127.0.0.1",
        "port": url.port,
        "user": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "database": unquote(url.path.lstrip("/")),
    }
    return {names.get(name, name): value for name, value in found.items() if value} | query_of(url)


def query_of(url: SplitResult) -> dict[str, Any]:
    """The options in a DSN's query. Numbers (of seconds, say) are numbers, but not those of who asks."""
    pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ValueError("the query of the DSN names an option twice")
    return {
        name: int(value) if value.isdecimal() and name not in CREDENTIALS else value for name, value in options.items()
    }


def connected(module: str, url: SplitResult, names: Mapping[str, str]) -> Any:
    """A connection of a driver's. Raises what that does, and says where it was given options that it does not take."""
    arguments = parts(url, names)
    try:
        return import_module(module).connect(**arguments)
    except TypeError as error:
        if not url.query:
            raise
        raise ValueError(f"{module} does not take {', '.join(query_of(url))} from the DSN's query: {error}") from error


def database_probe(name: str, connect: Callable[[], Any], statement: str) -> Probe:
    """A query that waits, by the interface of PEP 249; a connection for each."""

    def operate(connection: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.fetchall()
        cursor.close()

    return Probe(name, operate, connect, lambda connection: connection.close())


def postgresql(module: str, **names: str) -> Callable[[str, SplitResult], Probe]:
    """A driver for PostgreSQL."""
    return lambda name, url: database_probe(name, lambda: connected(module, url, names), POSTGRESQL)


def mysql(module: str, **names: str) -> Callable[[str, SplitResult], Probe]:
    """A driver for MySQL and MariaDB."""
    return lambda name, url: database_probe(name, lambda: connected(module, url, names), MYSQL)


def redis(name: str, url: SplitResult) -> Probe:
    """BLPOP on a key that there is not, each on a connection of its own."""
    client: Any = import_module("redis")

    def connect() -> Any:
        made = client.Redis.from_url(url.geturl())
        made.ping()
        return made

    return Probe(name, lambda made: made.blpop([NO_KEY], timeout=LENGTH), connect, lambda made: made.close())


DRIVERS: Final[dict[str, dict[str, Callable[[str, SplitResult], Probe]]]] = {
    "postgresql": {
        "psycopg2": postgresql("psycopg2", database="dbname"),
        "psycopg": postgresql("psycopg", database="dbname"),
        "pg8000": postgresql("pg8000.dbapi"),
    },
    "mysql": {
        "MySQLdb": mysql("MySQLdb"),
        "pymysql": mysql("pymysql"),
        "mysql.connector": mysql("mysql.connector"),
        "mariadb": mysql("mariadb"),
    },
    "redis": {"redis": redis},
}


# By the application's own settings.


def django_databases() -> Mapping[str, Any]:
    """Django's databases that a query can wait in, if Django is configured."""
    settings: Any = sys.modules.get("django.conf")
    if settings is None or not settings.settings.configured:
        return {}
    connections = import_module("django.db").connections
    return {alias: connections[alias] for alias in connections if getattr(connections[alias], "vendor", "") in SLEEPS}


def django_probe(alias: str, database: Any) -> Probe:
    """A query that waits in one of Django's databases; each greenlet has Django's connection of its own."""
    connections = import_module("django.db").connections
    statement = SLEEPS[database.vendor]

    def operate(_: None) -> None:
        connection = connections[alias]
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                cursor.fetchall()
        finally:
            connection.close()

    return Probe(f"Django's database {alias!r} ({database.vendor})", operate)


def sqlalchemy_engines() -> list[Any]:
    """SQLAlchemy's engines that are alive and whose database a query can wait in."""
    module: Any = sys.modules.get("sqlalchemy.engine")
    if module is None:
        return []
    return [each for each in gc.get_objects() if type(each) is module.Engine and each.dialect.name in SLEEPS]


def engine_probe(engine: Any, operations: int) -> tuple[Probe, int]:
    """A query that waits, on connections of the engine's own pool, as many as that has."""
    text = import_module("sqlalchemy").text(SLEEPS[engine.dialect.name])
    size = getattr(engine.pool, "_max_overflow", None)
    most = operations if size is None or size < 0 else min(operations, engine.pool.size() + size)
    name = f"SQLAlchemy's engine {engine.url!r}"
    return Probe(name, lambda each: each.execute(text).fetchall(), engine.connect, lambda each: each.close()), most
