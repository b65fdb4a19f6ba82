"""pylibmc's clients on native threads, except for unpickling: that may import, which native threads must not do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pylibmc.client import Client

from ...runtime.offload import has_hub_to_yield_to
from .off_loading import lane_of, off_loaded

#: The flag of values that are pickles (PYLIBMC_FLAG_PICKLE of its C source).
IS_PICKLE = 1
STORING = (
    "add", "add_multi", "append", "cas", "clone", "decr", "delete", "delete_multi", "disconnect_all", "flush_all",
    "get_stats", "incr", "incr_multi", "prepend", "replace", "set", "set_multi", "touch",
)  # fmt: skip
READING = ("get", "get_multi", "gets")
original_deserialize = Client.deserialize


@dataclass(frozen=True, slots=True)
class Pickled:
    """A value as it came, until the greenlet unpickles it."""

    data: bytes
    flags: int


def deserialize(self: Any, data: bytes, flags: int) -> Any:
    """Make a value of what the server had; not of pickles on a native thread, unless a subclass does it its own way."""
    is_ours = type(self).deserialize is deserialize
    if is_ours and flags & IS_PICKLE and not has_hub_to_yield_to() and lane_of(self).is_busy:
        return Pickled(data, flags)
    return original_deserialize(self, data, flags)


def reading(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method that reads values, on a native thread, and unpickles them here."""
    read = off_loaded(original)

    def unpickled(self: Any, value: Any) -> Any:
        return original_deserialize(self, value.data, value.flags) if isinstance(value, Pickled) else value

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = read(self, *args, **kwargs)
        if isinstance(found, dict):
            return {key: unpickled(self, value) for key, value in found.items()}
        if isinstance(found, tuple):
            return tuple(unpickled(self, value) for value in found)
        return unpickled(self, found)

    return call


def add_methods() -> None:
    """Give `Client` methods of its own in place of those that it inherits from the C class."""
    for name in STORING:
        setattr(Client, name, off_loaded(getattr(Client, name)))
    for name in READING:
        setattr(Client, name, reading(getattr(Client, name)))
    Client.deserialize = deserialize


def remove_methods() -> None:
    """Take them back."""
    for name in (*STORING, *READING, "deserialize"):
        delattr(Client, name)
