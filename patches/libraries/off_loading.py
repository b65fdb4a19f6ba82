"""Methods of other people's classes that run on native threads, each on the lane of the connection that it uses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...runtime.offload import Lane

#: The attribute that a connection keeps its lane in.
LANE = "_hublet_lane"


def lane_of(connection: Any) -> Lane:
    """The lane of a connection, which it has from its first call on."""
    lane: Lane | None = getattr(connection, LANE, None)
    if lane is None:
        lane = Lane()
        setattr(connection, LANE, lane)
    return lane


def off_loaded(original: Callable[..., Any]) -> Callable[..., Any]:
    """A connection's method that runs on a native thread, after those before it."""

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return lane_of(self).call(original, self, *args, **kwargs)

    return call


def off_loaded_setter(original: property) -> property:
    """A connection's property that is set on a native thread."""
    return original.setter(off_loaded(original.fset)) if original.fset else original


def call_unless_interrupted(
    lane: Lane, interrupted: Callable[[], object], function: Callable[..., Any], *args: Any
) -> Any:
    """Call on a lane; `interrupted` is called where the greenlet was killed meanwhile, so that the result is lost."""
    ended = raised = False

    def call() -> Any:
        nonlocal ended, raised
        try:
            return function(*args)
        except BaseException:
            raised = True
            raise
        finally:
            ended = True

    try:
        return lane.call(call)
    except BaseException:
        if ended and not raised:
            interrupted()
        raise
