"""Makes the standard library's waits yield to the hub.

It imports nothing but gevent and what the interpreter itself has loaded: anything else would be imported before the
patching.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from gevent import monkey

# The standard library is patched itself; gevent keeps the originals on purpose; the others need them, or hold none.
EXEMPT = sys.stdlib_module_names | {"gevent", "greenlet", "hublet", "zope", "cython_runtime"}
#: The modules that were loaded before the patching, in their order, without those of EXEMPT. Where somebody else has
#: patched, nobody knows when: those that were loaded at the first call here.
LOADED_BEFORE: list[str] = []
is_first_call = True
# gevent's warning about modules that hold SSLContext: they are found, and cured, here.
SSL_WARNING = "Monkey-patching ssl after ssl has already been imported"


def patch_standard_library() -> tuple[str, ...]:
    """Patch every blocking part of the standard library; do nothing where that was done before.

    Call it before anything else is imported: names that were taken earlier are the business of captures.py. Returns
    gevent's warnings; the caller logs them, once there is a log.
    """
    global is_first_call
    if is_first_call:
        LOADED_BEFORE.extend(name for name in sys.modules if name.partition(".")[0] not in EXEMPT)
        is_first_call = False
    if is_standard_library_patched():
        return ()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", monkey.MonkeyPatchWarning)
        with types_only(), entry_points_read_once():
            monkey.patch_all()
    return tuple(str(each.message) for each in caught if not str(each.message).startswith(SSL_WARNING))


def is_standard_library_patched() -> bool:
    """Whether sockets, sleeping, threads and locks yield to the hub in this process."""
    return all(monkey.is_module_patched(name) for name in ("socket", "time", "threading", "select"))


@contextmanager
def entry_points_read_once() -> Iterator[None]:
    """Read the entry points of installed packages once: gevent asks for them at each of its 25 events.

    Each time costs a quarter of a millisecond for each package that is installed. It is done at the first event, as
    gevent does it: what reads them imports much, and nothing is imported here before the patching has begun.
    """
    subscribers = import_module("gevent.events").subscribers
    original: dict[str, Any] = {}

    def read(event: object) -> None:
        if not original:
            names = import_module("importlib.metadata").__dict__
            original["entry_points"] = names["entry_points"]
            names["entry_points"] = names["entry_points"]().select

    subscribers.append(read)
    try:
        yield
    finally:
        subscribers.remove(read)
        import_module("importlib.metadata").__dict__.update(original)


@contextmanager
def types_only() -> Iterator[None]:
    """Keep gevent's search for locks from asking lazy objects what they are: Django's settings would be read."""
    search = import_module("gevent.monkey._patch_thread_common")
    search.__dict__["isinstance"] = is_instance_by_type
    try:
        yield
    finally:
        search.__dict__.pop("isinstance", None)


def is_instance_by_type(value: object, cls: type) -> bool:
    """As isinstance, by the real type only."""
    return issubclass(type(value), cls)
