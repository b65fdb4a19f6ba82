"""Finds pools that are alive and do not go with greenlets: those that give every greenlet one thread's connection."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from typing import Any, Final

from ..patches.unsuited_pools import UNSUITED_POOLS
from .findings import Pool

#: Module, class, whether greenlets that use it at once fail or see each other's work, and what to do.
KINDS: Final = (
    *(("sqlalchemy.pool", name, True, text) for name, text in UNSUITED_POOLS.items()),
    (
        "concurrent.futures.thread",
        "ThreadPoolExecutor",
        False,
        "its workers are greenlets: work on the CPU stops every request; hublet.offload(function, ...) "
        "runs it on a native thread",
    ),
    (
        "pymemcache.client.base",
        "Client",
        False,
        "requests that share it mix up their answers: use pymemcache.client.base.PooledClient",
    ),
)


def find_pools() -> list[Pool]:
    """The pools that are alive in this process."""
    kinds: dict[type, tuple[str, bool, str]] = {}
    for module, name, fails, remedy in KINDS:
        cls: Any = getattr(sys.modules.get(module), name, None)
        if isinstance(cls, type):
            kinds[cls] = (f"{module.partition('.')[0]} {name}", fails, remedy)
    # By their real types: lazy objects must not be asked what they are.
    alive = Counter(type(each) for each in gc.get_objects() if type(each) in kinds) if kinds else Counter()
    return [Pool(kinds[cls][0], count, *kinds[cls][1:]) for cls, count in alive.items()]
