"""pg8000 on the hub: a connection whose greenlet was killed or timed out within a query is closed.

Otherwise the reply is still to come, and would be read as that of the next query.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


def reading(original: Callable[..., Any]) -> Callable[..., Any]:
    """`CoreConnection.handle_messages`: whatever ends it before the reply has ended, closes the connection."""

    @wraps(original)
    def handle_messages(self: Any, context: Any) -> Any:
        try:
            return original(self, context)
        except BaseException as error:
            if error is not context.error:
                abandon(self)
            raise

    return handle_messages


def executing(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method that sends a query: what is thrown at its greenlet closes the connection."""

    @wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        except Exception:
            raise
        except BaseException:
            abandon(self)
            raise

    return method


def abandon(connection: Any) -> None:
    """Close a connection without another word."""
    if connection._usock is not None:
        connection._usock.close()
        connection._sock = connection._usock = None
