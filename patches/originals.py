"""What the patching has replaced: the objects that were there, by which those who hold them are recognised."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from gevent import monkey

from .replacement import Patch

#: What happens where an original stays in use; the others are replaced where they can be, and harmless where not.
CONSEQUENCES: Final = {
    "_queue.SimpleQueue": "its waits on a queue stop every request",
    "_socket.socket": "its socket calls stop every request",
    "_thread.RLock": "it keeps no two requests apart",
    "_thread._local": "what it holds is shared by all requests",
    "_thread.lock": "a wait for it hangs the process",
    "queue.SimpleQueue": "its waits on a queue stop every request",
    "selectors.DefaultSelector": "its waits stop every request",
    "selectors.EpollSelector": "its waits stop every request",
    "socket.socket": "its socket calls stop every request",
    "ssl.SSLSocket": "its socket calls stop every request",
    "subprocess.Popen": "its waits for a child may stop every request",
    "threading.local": "what it holds is shared by all requests",
    "time.sleep": "its sleeps stop every request",
}
WHOLE: Final = "it may stop every request"
REPLACEABLE: Final = (FunctionType, BuiltinFunctionType, type)
#: Where nothing is.
MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Original:
    """An object that the patching replaced: its name, itself, and what is there now (MISSING: nothing).

    `package` is that of a library, which may keep its own originals: what replaces them may need them there.
    """

    name: str
    value: Any
    patched: Any
    package: str = ""


def originals(patches: Iterable[Patch] = ()) -> dict[int, Original]:
    """What gevent and the given patches, those that are applied, have replaced in this process, by identity."""
    found: dict[int, Original] = {}
    for patch in patches:
        package = patch.module.partition(".")[0]
        for holder, name, value, _ in patch.placed:
            patched = vars(holder).get(name, MISSING)
            if isinstance(value, REPLACEABLE) and patched is not value:
                place = f"{getattr(holder, '__module__', '') or ''}.{getattr(holder, '__qualname__', '')}"
                place = holder.__name__ if isinstance(holder, ModuleType) else place
                found.setdefault(id(value), Original(f"{place}.{name}", value, patched, package))
    for module, names in list(monkey.saved.items()):
        for name, value in list(names.items()) if module in sys.modules else ():
            patched = vars(sys.modules[module]).get(name, MISSING)
            if isinstance(value, REPLACEABLE) and patched is not value and patched is not None:
                found.setdefault(id(value), Original(f"{module}.{name}", value, patched))
    return found


def native_objects() -> dict[type, tuple[str, Callable[[], Any] | None]]:
    """The types whose instances do not know greenlets: what they are called, and what makes one that does."""
    thread: Any = sys.modules["_thread"]
    threading: Any = sys.modules.get("threading")
    queue: Any = sys.modules.get("queue")
    lock = type(monkey.get_original("_thread", "allocate_lock")())
    local: Any = monkey.get_original("_thread", "_local")
    made: dict[type, tuple[str, Callable[[], Any] | None]] = {
        lock: ("_thread.lock", thread.allocate_lock),
        thread.RLock: ("_thread.RLock", getattr(threading, "RLock", None)),
        local: ("_thread._local", getattr(threading, "local", None)),
    }
    if queue is not None:
        simple: Any = monkey.get_original("queue", "SimpleQueue")
        if simple is not queue.SimpleQueue:
            made[simple] = ("_queue.SimpleQueue", queue.SimpleQueue)
    return made
