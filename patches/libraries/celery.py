"""Celery on the hub: what its gevent workers and those who wait for results do beside the waiting itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import uuid4

from ...runtime.io_events import READ
from .yielding import is_ready


def draining(original: Callable[..., None]) -> Callable[..., None]:
    """The worker's `_quick_drain`: between messages it reads what has come; it does not wait for something to come."""

    @wraps(original)
    def _quick_drain(connection: Any, *args: Any, **kwargs: Any) -> None:
        transport = getattr(connection.connection, "_transport", None)
        if transport is None or has_something(transport):
            original(connection, *args, **kwargs)

    return _quick_drain


def has_something(transport: Any) -> bool:
    """Whether anything can be read of py-amqp's transport, which may have read a part of it."""
    if not transport.connected or transport._read_buffer:
        return True
    decrypted = getattr(transport.sock, "pending", None)
    return bool(decrypted and decrypted()) or is_ready(transport.sock.fileno(), READ)


def environment(original: Callable[[], str]) -> Callable[[], str]:
    """What decides how results are waited for: in the greenlet that wants one.

    Celery has a backend for each thread, and for gevent a further greenlet to read its results, which never ends.
    """
    del original
    return lambda: "default"


def identity(original: Callable[..., str]) -> Callable[..., str]:
    """What names the queue that a thread's results come to: a greenlet's number is soon that of another greenlet."""

    @wraps(original)
    def oid_from(instance: Any, threads: bool = True) -> str:
        return str(uuid4()) if threads else original(instance, threads=False)

    return oid_from
