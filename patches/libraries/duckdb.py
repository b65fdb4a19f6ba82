"""duckdb on native threads: what runs a query is off-loaded, one call of a connection after the other.

A query may name a variable of its caller's (a data frame), which duckdb looks up in the frame that called it. So the
call is made by code that has the caller's local and global variables.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any, Final

from ...runtime.offload import Lane, has_hub_to_yield_to, offload

CALL: Final = compile("hublet_call()", "<duckdb>", "eval")
#: By the identity of a connection, which is not hashable by its own; an entry goes with its connection.
lanes: Final[dict[int, Lane]] = {}
#: Of the module's functions, which use one connection.
default_lane: Final = Lane()


def lane_of(connection: Any) -> Lane:
    """The lane of a connection."""
    lane = lanes.get(id(connection))
    if lane is None:
        lane = lanes[id(connection)] = Lane()
        weakref.finalize(connection, lanes.pop, id(connection), None)
    return lane


def connection_method(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a connection's, off-loaded."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return called(lane_of(self).call, partial(original, self, *args, **kwargs))

    return update_wrapper(method, original)


def module_function(original: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the module's, off-loaded; it may be given a connection by keyword."""

    def function(*args: Any, **kwargs: Any) -> Any:
        connection = kwargs.get("connection")
        lane = default_lane if connection is None else lane_of(connection)
        return called(lane.call, partial(original, *args, **kwargs))

    return update_wrapper(function, original)


def relation_method(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a relation's that runs its query, off-loaded. duckdb has a lock of its own for its connection."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return called(offload, partial(original, self, *args, **kwargs))

    return update_wrapper(method, original)


def called(through: Callable[..., Any], call: Callable[[], Any]) -> Any:
    """Make a call of our caller's caller's, with that one's variables. A greenlet's own function has no caller."""
    caller = sys._getframe(1).f_back
    variables = {**(caller.f_locals if caller else {}), "hublet_call": call}
    global_variables = caller.f_globals if caller else {}
    if not has_hub_to_yield_to():
        return eval(CALL, global_variables, variables)  # noqa: S307
    return through(eval, CALL, global_variables, variables)
