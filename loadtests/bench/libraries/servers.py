"""The servers of the libraries that are measured: private ones, on the core of whoever starts them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from ...private.caches import memcached_server, redis_server
from ...private.ldap_directory import ldap_server
from ...private.mariadb import mariadb_server
from ...private.postgresql import postgresql
from ...private.process import accepts, folder, free_port, running
from ...private.slow_proxy import slow_proxy_process
from ..apps import plain
from .measure import ADDRESSES


@contextmanager
def http_server() -> Iterator[int]:
    """A page of a few bytes, by hublet; yields its port."""
    port = free_port()
    with folder() as place:
        command = [sys.executable, "-m", "hublet", f"{plain.__name__}:hello", "--bind", f"127.0.0.1:{port}"]
        with running(command, lambda: accepts(port), place / "log"):
            yield port


@contextmanager
def postgresql_dsn() -> Iterator[str]:
    """PostgreSQL; yields what libpq is to be told."""
    with postgresql() as server:
        yield server.dsn


@contextmanager
def mariadb_port() -> Iterator[int]:
    """MariaDB; yields its port."""
    with mariadb_server() as server:
        yield server.port


SERVERS: Final[dict[str, Callable[[], AbstractContextManager[Any]]]] = {
    "postgresql": postgresql_dsn, "mariadb": mariadb_port, "redis": redis_server, "memcached": memcached_server,
    "ldap": ldap_server, "http": http_server,
}  # fmt: skip
# Those that have no operation which waits.
SLOW: Final = ("memcached", "ldap", "http")


@contextmanager
def private_servers(directory: Path) -> Iterator[None]:
    """Run those that are installed, and write into `directory` where they are."""
    addresses: dict[str, Any] = {"directory": str(directory)}
    with ExitStack() as started:
        for name, server in SERVERS.items():
            try:
                addresses[name] = started.enter_context(server())
            except FileNotFoundError:
                continue  # its libraries are told to be missing
            if name in SLOW:
                addresses[f"slow {name}"] = started.enter_context(slow_proxy_process(addresses[name]))
        (directory / ADDRESSES).write_text(json.dumps(addresses))
        yield
