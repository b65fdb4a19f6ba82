"""python-ldap: answers are waited for on the hub, every other call of libldap is made on a native thread.

Several greenlets may share a connection, as threads may: answers are told apart by their message number. Whichever is
woken reads what has come for all; the others are woken by the same event and find their answer read.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import ldap
from gevent.socket import wait_read

from ...runtime.offload import has_hub_to_yield_to
from .off_loading import lane_of

#: Seconds after which an answer is asked for again without a sign of it: referrals are answered on other descriptors.
RECHECK = 0.1
#: Calls that only look into libldap's structures.
LOCAL = {"get_option", "set_option"}


def on_a_native_thread(original: Callable[..., Any]) -> Callable[..., Any]:
    """`_ldap_call`, by which every call of libldap is made."""

    @functools.wraps(original)
    def call(self: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        if function.__name__ in LOCAL and has_hub_to_yield_to():
            with lane_of(self):
                return original(self, function, *args, **kwargs)
        return lane_of(self).call(original, self, function, *args, **kwargs)

    return call


def on_the_hub(original: Callable[..., Any]) -> Callable[..., Any]:
    """`result4`, by which every answer is waited for: it asks without waiting, and waits here."""

    @functools.wraps(original)
    def result4(
        self: Any, msgid: int = ldap.RES_ANY, all: int = 1, timeout: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        timeout = self.timeout if timeout is None else timeout
        if not timeout or not has_hub_to_yield_to():
            return original(self, msgid, all, timeout, *args, **kwargs)
        deadline = None if timeout < 0 else time.monotonic() + timeout
        while (answer := original(self, msgid, all, 0, *args, **kwargs))[0] is None:
            left = RECHECK if deadline is None else min(RECHECK, deadline - time.monotonic())
            if left <= 0:
                return original(self, msgid, all, 1e-6, *args, **kwargs)  # raises what the library raises
            try:
                wait_read(self.fileno(), timeout=left)
            except TimeoutError:
                continue
        return answer

    return result4
