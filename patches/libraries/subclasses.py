"""Makes an application's own class (a connection factory, a cursor factory) cooperative."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...runtime.limits import COOPERATIVE_CLASSES


@lru_cache(COOPERATIVE_CLASSES)
def cooperative(factory: Any, base: type) -> Any:
    """A subclass of `factory` and `base` that goes by the former's name; `factory` itself if it is no class of theirs.

    `base` comes after `factory` and before the class that both derive from, so that overridden methods reach it.
    """
    if not isinstance(factory, type) or issubclass(factory, base):
        return factory
    if factory in base.__mro__:
        return base
    try:
        return type(factory.__name__, (factory, base), {"__module__": factory.__module__, "__doc__": factory.__doc__})
    except TypeError:  # another layout in memory: it is no class of this library
        return factory
