"""`fcntl.flock` and `fcntl.lockf`: who waits for a lock tries again and again, and the hub runs meanwhile."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable
from typing import Any

from ...runtime.offload import may_yield
from .yielding import retry


def locking(original: Callable[..., None]) -> Callable[..., None]:
    """What takes the place of both. A lock is not had in the order in which it was asked for."""

    def lock(fd: Any, operation: int, /, *extent: Any, **named: Any) -> None:
        if operation & (fcntl.LOCK_NB | fcntl.LOCK_UN) or not may_yield():
            original(fd, operation, *extent, **named)
            return

        def attempt() -> bool | None:
            try:
                original(fd, operation | fcntl.LOCK_NB, *extent, **named)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                return None
            return True

        retry(attempt)

    return lock
