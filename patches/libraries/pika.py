"""pika's BlockingConnection on the hub: what is thrown at a greenlet that waits for a reply closes the connection.

The reply is still to come then, and would be taken for that to the next call: a message that the broker refused would
count as confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from pika.exceptions import StreamLostError


def abandon(connection: Any) -> None:
    """Close a BlockingConnection without another word, as one that was lost."""
    if connection._closed_result.ready or connection.is_closed:
        return
    connection._impl._terminate_stream(StreamLostError("a call was interrupted before its reply"))
    while not connection._closed_result.ready:
        connection._impl.ioloop.poll()
        connection._impl.ioloop.process_timeouts()
    connection._cleanup()


def replying(original: Callable[..., None]) -> Callable[..., None]:
    """`BlockingChannel._flush_output`, which waits until one of `waiters` says that the reply is there."""

    @wraps(original)
    def _flush_output(self: Any, *waiters: Callable[[], bool]) -> None:
        try:
            original(self, *waiters)
        except BaseException:
            if waiters and not self.is_closed:
                abandon(self._connection)
            raise

    return _flush_output


def closing(original: Callable[..., None]) -> Callable[..., None]:
    """`BlockingConnection.close`: it is closed even if nobody waits for the broker's consent any more."""

    @wraps(original)
    def close(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            original(self, *args, **kwargs)
        except BaseException:
            abandon(self)
            raise

    return close
