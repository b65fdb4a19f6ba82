"""gunicorn's master, patched: it keeps what it waits for its workers with.

Patching in the master is what makes a preloaded application cooperate, and what comes before anybody else's import.
But the master's loop waits in C for its signals and never turns a hub, so gevent's fork, waitpid and signal, which need
one, would leave it without word of its workers' ends. It has the interpreter's own until a worker has been forked,
which puts gevent's back.
"""

from __future__ import annotations

import os
import signal
from types import ModuleType
from typing import Any, Final

from gevent import monkey

from ...patches.stdlib import patch_standard_library

OWN: Final = ((os, ("fork", "forkpty", "waitpid")), (signal, ("signal", "getsignal", "set_wakeup_fd")))
# What gevent had put in their place: module, name, function.
taken_back: list[tuple[ModuleType, str, Any]] = []


def patch_master() -> tuple[str, ...]:
    """Patch the standard library, except for what the master's loop needs; do nothing where that was done before.

    Where gunicorn's configuration file has patched, everything stays as it has. Returns the warnings of the patching.
    """
    if monkey.is_module_patched("socket"):
        return ()
    warnings = patch_standard_library()
    for module, names in OWN:
        for name in names:
            if monkey.is_object_patched(module.__name__, name):
                taken_back.append((module, name, getattr(module, name)))
                setattr(module, name, monkey.get_original(module.__name__, name))
    return warnings


def patch_worker() -> None:
    """In a forked worker: put gevent's functions in their places."""
    while taken_back:
        module, name, function = taken_back.pop()
        setattr(module, name, function)
