"""Large objects with psycopg2 on native threads: libpq's functions for them only block."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from psycopg2 import extensions

from ...runtime.limits import COOPERATIVE_CLASSES
from .psycopg2_copy import blocking

METHODS: Final = ("read", "write", "seek", "tell", "truncate", "export", "unlink", "close")


class LargeObject(extensions.lobject):
    """A large object whose connection is off-loaded for each operation."""

    def __init__(self, connection: Any, *args: Any) -> None:
        self.hublet_connection = connection
        with blocking(connection):
            super().__init__(connection, *args)


def off_loaded(name: str) -> Callable[..., Any]:
    """A method that runs on a native thread."""
    original = getattr(extensions.lobject, name)

    def method(self: LargeObject, *args: Any) -> Any:
        return self.hublet_connection.hublet_off_load(operate, original, self, args)

    method.__name__, method.__doc__ = name, original.__doc__
    method.__qualname__ = f"{LargeObject.__qualname__}.{name}"
    return method


def operate(original: Callable[..., Any], large_object: LargeObject, args: tuple[Any, ...]) -> Any:
    """Call a method of psycopg2's."""
    if large_object.hublet_connection.closed:
        return original(large_object, *args)  # which says so, or has nothing to do
    with blocking(large_object.hublet_connection):
        return original(large_object, *args)


for each in METHODS:
    setattr(LargeObject, each, off_loaded(each))


@lru_cache(COOPERATIVE_CLASSES)
def cooperative_large_object(factory: Any) -> Any:
    """What makes large objects that yield, in place of a class of psycopg2's or derived from it."""
    if factory is None or factory is extensions.lobject:
        return LargeObject
    if not isinstance(factory, type) or issubclass(factory, LargeObject) or not issubclass(factory, extensions.lobject):
        return factory
    return type(factory.__name__, (factory, LargeObject), {"__module__": factory.__module__})
