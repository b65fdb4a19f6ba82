"""Makes the standard library's waits yield to the hub, and names what was imported too early to be reached.

It imports nothing but gevent and what the interpreter itself has loaded: anything else would be imported before the
patching.
"""

from __future__ import annotations

import sys
import warnings

from gevent import monkey

# What a module may have taken by `from x import y` and then keeps unpatched, and what that breaks.
CAPTURED = {
    ("ssl", "SSLContext"): "its first TLS connection fails with RecursionError",
    ("time", "sleep"): "its sleeps stop every request",
    ("queue", "SimpleQueue"): "its waits on a queue stop every request",
    ("socket", "socket"): "its socket calls stop every request",
    ("threading", "Lock"): "a wait for one of its locks hangs the process",
}
# The standard library is patched itself; gevent keeps the originals on purpose; greenlet and hublet hold none.
EXEMPT = sys.stdlib_module_names | {"gevent", "greenlet", "hublet"}
REMEDY = (
    "import it after the patching: start with the `hublet` command, "
    "or make `import hublet; hublet.patch_all()` the program's first line"
)


def patch_standard_library() -> tuple[str, ...]:
    """Patch every blocking part of the standard library; do nothing where that was done before.

    Call it before anything else is imported. Returns a warning for each name that a module imported earlier has
    captured and that is known to break; the caller logs them, once there is a log.
    """
    if is_standard_library_patched():
        return ()
    found = early_imports()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", monkey.MonkeyPatchWarning)
        monkey.patch_all()
    # gevent's own warnings look deeper for one of these and name no remedy: they serve where nothing was found here.
    return tuple(found or (str(each.message) for each in caught))


def is_standard_library_patched() -> bool:
    """Whether sockets, sleeping, threads and locks yield to the hub in this process."""
    return all(monkey.is_module_patched(name) for name in ("socket", "time", "threading", "select"))


def early_imports() -> list[str]:
    """Describe the unpatched functions and classes that loaded modules, except the standard library's, hold."""
    captured = {
        id(getattr(sys.modules[module], name)): (f"{module}.{name}", consequence)
        for (module, name), consequence in CAPTURED.items()
        if module in sys.modules and not monkey.is_object_patched(module, name)
    }
    found = []
    for module_name, module in sorted(sys.modules.items()):
        if module_name.partition(".")[0] in EXEMPT:
            continue
        for value in list(getattr(module, "__dict__", {}).values()):
            if (hit := captured.get(id(value))) is not None:
                original, consequence = hit
                found.append(f"{module_name} was imported too early and holds {original}: {consequence}; {REMEDY}")
    return found
