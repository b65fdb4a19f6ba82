"""psycopg2 on the hub: the wait callback, and connections that refuse what would hang.

With a wait callback, libpq sends and receives without blocking and psycopg2 calls the callback to wait ("green mode").
What green mode leaves open is closed here:

- `commit`, `close` and their like take a native mutex that a query holds while it waits; from another greenlet of the
  same thread they would hang the process. Connections know that they are busy, and raise ProgrammingError instead, as
  psycopg2 does for a second query.
- COPY and large objects are refused in green mode, or block: psycopg2_copy and psycopg2_large_objects.
- libpq resolves names itself, and ignores `connect_timeout` in green mode: both are seen to here.

A query whose greenlet is killed or times out closes its connection: psycopg2 does that when the callback raises.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic
from typing import Any, Final

import gevent
import psycopg2
from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import get_original
from psycopg2 import extensions

from ...runtime.io_events import READ, WRITE
from ...runtime.offload import offload
from .postgres_hosts import UnknownHost, connect_timeout, with_addresses
from .psycopg2_copy import CopyingCursor
from .psycopg2_large_objects import cooperative_large_object
from .subclasses import cooperative

EVENTS: Final = {extensions.POLL_READ: READ, extensions.POLL_WRITE: WRITE}
POLL_OK: Final = extensions.POLL_OK
#: Connection methods that take the mutex.
EXCLUSIVE: Final = (
    *("commit", "rollback", "close", "reset", "set_session", "set_isolation_level", "set_client_encoding"),
    *("tpc_begin", "tpc_prepare", "tpc_commit", "tpc_rollback", "tpc_recover"),
)
EXCLUSIVE_ATTRIBUTES: Final = ("autocommit", "isolation_level", "readonly", "deferrable")

native_poll: Final[Callable[[], Any]] = get_original("select", "poll")
#: When connecting is given up, where only this module can see to it; `monotonic` seconds.
connect_deadline: Final[ContextVar[float | None]] = ContextVar("connect_deadline", default=None)


def wait(connection: Any) -> None:
    """The wait callback: return when what the connection does is done. Raises psycopg2's errors, and what is thrown."""
    hub = get_hub_if_exists()
    if hub is None or getcurrent() is hub:
        wait_natively(connection)
        return
    poll = connection.poll
    state = poll()
    if state == POLL_OK:
        return
    knows = isinstance(connection, CooperativeConnection)
    if knows:
        connection.hublet_is_busy = True
    try:
        while state != POLL_OK:
            watcher = hub.loop.io(connection.fileno(), EVENTS[state])
            try:
                hub.wait(watcher)
            finally:
                watcher.close()
            state = poll()
    finally:
        if knows:
            connection.hublet_is_busy = False
        del connection, poll  # the traceback of what was thrown would keep a connection that is not made yet


def wait_natively(connection: Any) -> None:
    """Wait where there is nothing to yield to."""
    deadline = connect_deadline.get()
    while (state := connection.poll()) != POLL_OK:
        poller = native_poll()
        poller.register(connection.fileno(), 1 if state == extensions.POLL_READ else 4)
        left = None if deadline is None else max(0.0, deadline - monotonic()) * 1000
        if not poller.poll(left):
            raise psycopg2.OperationalError("timeout expired")


class CooperativeConnection(extensions.connection):
    """A connection that one greenlet at a time may use; the others get ProgrammingError meanwhile."""

    hublet_is_busy = False

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """As psycopg2's; COPY yields in what it returns."""
        factory = args[1] if len(args) > 1 else kwargs.get("cursor_factory")
        if factory is None:
            factory = self.cursor_factory
        made_by = CopyingCursor if factory is None else cooperative(factory, CopyingCursor)
        if len(args) > 1:
            args = (args[0], made_by, *args[2:])
        else:
            kwargs["cursor_factory"] = made_by
        return super().cursor(*args, **kwargs)

    def lobject(
        self, oid: int = 0, mode: str = "", new_oid: int = 0, new_file: str | None = None, lobject_factory: Any = None
    ) -> Any:
        """As psycopg2's; what it returns yields."""
        self.hublet_check("lobject")
        if self.closed or self.async_:
            return super().lobject()  # which says so
        if self.status == extensions.STATUS_PREPARED:
            raise psycopg2.ProgrammingError("lobject cannot be used with a prepared two-phase transaction")
        factory = cooperative_large_object(lobject_factory)
        made = self.hublet_off_load(factory, self, oid, mode, new_oid, *(() if new_file is None else (new_file,)))
        if not isinstance(made, extensions.lobject):
            raise TypeError("lobject factory must be subclass of psycopg2.extensions.lobject")
        return made

    def hublet_check(self, name: str) -> None:
        """Raise ProgrammingError if another greenlet's operation is going on."""
        if self.hublet_is_busy:
            raise psycopg2.ProgrammingError(
                f"{name} cannot be used while another greenlet's operation on the same connection is underway: "
                "wait for it, or use a connection for each greenlet"
            )

    def hublet_off_load(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call what blocks on a native thread. Raises ProgrammingError if the connection is busy."""
        self.hublet_check(function.__name__)
        self.hublet_is_busy = True
        try:
            return offload(function, *args)
        finally:
            self.hublet_is_busy = False


def exclusive(name: str) -> Callable[..., Any]:
    """A method that first asks whether the connection is busy."""
    original = getattr(extensions.connection, name)

    def method(self: CooperativeConnection, *args: Any, **kwargs: Any) -> Any:
        if self.hublet_is_busy:
            self.hublet_check(name)
        return original(self, *args, **kwargs)

    method.__name__, method.__doc__ = name, original.__doc__
    method.__qualname__ = f"{CooperativeConnection.__qualname__}.{name}"
    return method


def exclusive_attribute(name: str) -> property:
    """An attribute whose change talks to the server."""
    original = vars(extensions.connection)[name]

    def change(self: CooperativeConnection, value: Any) -> None:
        self.hublet_check(name)
        original.__set__(self, value)

    return property(original.__get__, change, doc=original.__doc__)


for each in EXCLUSIVE:
    setattr(CooperativeConnection, each, exclusive(each))
for each in EXCLUSIVE_ATTRIBUTES:
    setattr(CooperativeConnection, each, exclusive_attribute(each))


def connect(dsn: str, connection_factory: Any = None, **kwasync: Any) -> Any:
    """`psycopg2._connect`, resolving names on the hub and heeding `connect_timeout`. Raises psycopg2's errors."""
    original = psycopg2._psycopg._connect
    if any(kwasync.values()):
        return original(dsn, connection_factory=connection_factory, **kwasync)
    factory = cooperative(connection_factory or CooperativeConnection, CooperativeConnection)
    parameters = extensions.parse_dsn(dsn)
    seconds = connect_timeout(parameters)
    try:
        attempts = with_addresses(parameters)
    except UnknownHost as error:
        raise psycopg2.OperationalError(str(error)) from None
    for number, attempt in enumerate(attempts, 1):
        attempt_dsn = dsn if attempt == parameters else extensions.make_dsn(**attempt)
        try:
            return connected(original, attempt_dsn, factory, seconds)
        except psycopg2.OperationalError:
            if number == len(attempts):
                raise
    raise AssertionError("there is always an attempt")


def connected(original: Callable[..., Any], dsn: str, factory: Any, seconds: float | None) -> Any:
    """Connect within so many seconds."""
    if seconds is None:
        return original(dsn, connection_factory=factory)
    hub = get_hub_if_exists()
    if hub is not None and getcurrent() is not hub:
        expired = psycopg2.OperationalError(f"timeout expired: not connected within {seconds:g} s (connect_timeout)")
        with gevent.Timeout(seconds, expired):
            return original(dsn, connection_factory=factory)
    token = connect_deadline.set(monotonic() + seconds)
    try:
        return original(dsn, connection_factory=factory)
    finally:
        connect_deadline.reset(token)


replaced_callbacks: Final[list[Any]] = []


def install_callback() -> None:
    """Switch green mode on."""
    replaced_callbacks.append(extensions.get_wait_callback())
    extensions.set_wait_callback(wait)


def restore_callback() -> None:
    """Set the callback that there was."""
    extensions.set_wait_callback(replaced_callbacks.pop())
