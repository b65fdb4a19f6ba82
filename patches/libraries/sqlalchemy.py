"""Explains, when an engine is made, what its pool does where threads are greenlets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from sqlalchemy.pool import SingletonThreadPool, StaticPool

REMEDY: Final = "use QueuePool or NullPool (create_engine(..., poolclass=...)), for SQLite with a database in a file"
EXPLANATIONS: Final = {
    StaticPool: "has one connection for all greenlets: those that use it at the same time wait for each other, fail, "
    "or see each other's transactions",
    SingletonThreadPool: "has a connection for each thread, which is a greenlet here: each request connects anew (to a "
    "new database, where it is in memory), and beyond pool_size connections are closed while they are in use",
}


def explaining(original: Callable[..., None]) -> Callable[..., None]:
    """`Engine.__init__`, with a line in the log for pools that do not fit."""

    @wraps(original)
    def __init__(self: Any, pool: Any, *args: Any, **kwargs: Any) -> None:
        original(self, pool, *args, **kwargs)
        if explanation := explain(pool):
            logging.getLogger("hublet.patches").warning("%s of %s %s", type(pool).__name__, self.url, explanation)

    return __init__


def explain(pool: Any) -> str:
    """What is wrong with a pool, and what to do; empty if it suits."""
    for kind, text in EXPLANATIONS.items():
        if isinstance(pool, kind):
            return f"{text}: {REMEDY}"
    return ""
