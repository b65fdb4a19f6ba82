"""python-ldap: answers are waited for on the hub, every other call of libldap is made on a native thread.

Several greenlets may share a connection, as threads may: answers are told apart by their message number. Whichever is
woken reads what has come for all; the others are woken by the same event and find their answer read.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from gevent.socket import wait_read

from ...runtime.offload import has_hub_to_yield_to
from .off_loading import lane_of

#: Seconds after which an answer is asked for again without a sign of it: referrals are answered on other descriptors.
RECHECK = 0.1
#: Calls that only look into libldap's structures.
LOCAL = {"get_option", "set_option"}


def waiting_elsewhere(original: Callable[..., Any]) -> Callable[..., Any]:
    """`_ldap_call`, by which every call of libldap is made."""

    @functools.wraps(original)
    def call(self: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        if not has_hub_to_yield_to():
            return original(self, function, *args, **kwargs)
        lane = lane_of(self._ldap_object_lock)  # the object's own attributes are pickled
        if function.__name__ in LOCAL:
            with lane:
                return original(self, function, *args, **kwargs)
        off_loaded = functools.partial(lane.call, original, self, function)
        if function.__name__ == "result4":
            return wait_for_answer(self, off_loaded, *args, **kwargs)
        return off_loaded(*args, **kwargs)

    return call


def wait_for_answer(
    connection: Any, ask: Callable[..., Any], message: int, complete: int, timeout: float, *more: Any
) -> Any:
    """Ask for an answer without waiting, as often as one may have come, for `timeout` seconds (below 0: no limit)."""
    deadline = time.monotonic() + timeout
    while (answer := ask(message, complete, 0, *more)) is not None and answer[0] is None:
        left = RECHECK if timeout < 0 else min(RECHECK, deadline - time.monotonic())
        if timeout == 0:
            break
        if left <= 0:
            return ask(message, complete, 1e-6, *more)  # raises what the library raises
        try:
            wait_read(connection.fileno(), timeout=left)
        except TimeoutError:
            continue
    return answer
