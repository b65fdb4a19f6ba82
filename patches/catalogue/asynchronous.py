"""asyncio, and the libraries that run on it."""

from __future__ import annotations

import sys
from typing import Final

from ..replacement import Patch, Replacement

HERE: Final = "hublet.patches.libraries.event_loops"
# The names by which asyncio asks for the running loop, in the modules that have them.
ASKING: Final = (
    ("_get_running_loop", "get_running_or_none"),
    ("_set_running_loop", "set_running"),
    ("get_running_loop", "get_running_loop"),
    ("get_event_loop", "get_event_loop"),
)
POLICY: Final = "asyncio.events:BaseDefaultEventLoopPolicy.get_event_loop"
TURN: Final = "asyncio.base_events:BaseEventLoop._run_once"
OF_3_11: Final = (Replacement("asyncio.events:_get_event_loop", f"{HERE}:get_event_loop"),)
SINCE_3_12: Final = (Replacement("asyncio.unix_events:can_use_pidfd", f"{HERE}:can_use_pidfd"),)

IN_GREENLETS: Final = "its event loops run in greenlets, each with its own"

PATCHES: Final = (
    Patch(
        "asyncio",
        "a second asyncio.run in the same thread raises RuntimeError, as event loops are counted by thread",
        (
            *(
                Replacement(f"{module}:{name}", f"{HERE}:{ours}")
                for module in ("asyncio.events", "asyncio")
                for name, ours in ASKING
            ),
            *(OF_3_11 if sys.version_info < (3, 12) else SINCE_3_12),
            *(
                Replacement(f"{module}:current_task", f"{HERE}:with_running_loop", wraps=True)
                for module in ("asyncio.tasks", "asyncio")
            ),
            Replacement("asyncio.base_events:BaseEventLoop.run_forever", f"{HERE}:leaving_no_hooks", wraps=True),
            Replacement(POLICY, f"{HERE}:running_or_set", wraps=True)
            if sys.version_info < (3, 14)
            else Replacement(TURN, f"{HERE}:leaving_the_thread", wraps=True),
            Replacement(
                "asyncio.selector_events:BaseSelectorEventLoop._process_events", f"{HERE}:taking_the_thread", wraps=True
            ),
        ),
        module="asyncio",
        cost="asyncio.run 95 -> 220 us, a turn of the loop 2.4 -> 18 us, by gevent's selector; tasks stay compiled",
    ),
    Patch(
        "aiohttp", IN_GREENLETS, module="aiohttp", distribution="aiohttp", versions=">=3.11,<4", effect="cooperative"
    ),
    Patch(
        "asyncpg", IN_GREENLETS, module="asyncpg", distribution="asyncpg", versions=">=0.30,<1", effect="cooperative"
    ),
    Patch("nats-py", IN_GREENLETS, module="nats", distribution="nats-py", versions=">=2.9,<3", effect="cooperative"),
    Patch("asgiref", IN_GREENLETS, module="asgiref", distribution="asgiref", versions=">=3.8,<4", effect="cooperative"),
    Patch(
        "uvloop",
        "its loop waits in libuv, where nothing can yield",
        module="uvloop",
        distribution="uvloop",
        versions=">=0.21,<1",
        effect="blocks",
        remedy="leave out uvloop.install() and uvloop.run(): asyncio's own loop waits on the hub",
    ),
)
