"""Memcached and Redis of one's own, without anything on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .process import accepts, folder, free_port, program, running, unprivileged


@contextmanager
def memcached_server() -> Iterator[int]:
    """Run memcached; yield its port."""
    port = free_port()
    with folder() as place:
        command = [program("memcached", "memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "16"]
        with running(unprivileged(command), lambda: accepts(port), place / "log"):
            yield port


@contextmanager
def redis_server() -> Iterator[int]:
    """Run Redis; yield its port."""
    port = free_port()
    with folder() as place:
        command = [program("redis-server", "redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
        with running(unprivileged([*command, "--dir", str(place)]), lambda: accepts(port), place / "log"):
            yield port
