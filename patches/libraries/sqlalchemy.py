"""Explains, when an engine is made, what its pool does where threads are greenlets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from sqlalchemy import pool as pools

from ..unsuited_pools import UNSUITED_POOLS


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
    return next((text for name, text in UNSUITED_POOLS.items() if isinstance(pool, getattr(pools, name))), "")
