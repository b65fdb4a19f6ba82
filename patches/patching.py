"""The one call that makes a process cooperative: the standard library first, then every library as it is imported."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Final

from .captures import Capture, rebind_captures
from .catalogue import CATALOGUE
from .early_imports import explain
from .early_ssl import cure_ssl_context
from .registry import Registry, third_party_patches
from .stdlib import LOADED_BEFORE, patch_standard_library


def log_refusal(line: str) -> None:
    """Log what came of a patch whose library is imported after `patch_all` has returned."""
    import_module("logging").getLogger("hublet.patches").warning("%s", line)


REGISTRY: Final = Registry(CATALOGUE, log_refusal)
#: What had taken unpatched names before this process was patched.
CAPTURES: Final[list[Capture]] = []
REMEDY: Final = (
    "import it after the patching: start with the `hublet` command, "
    "or make `import hublet; hublet.patch_all()` the program's first line"
)


def patch_all(*, patch: Iterable[str] = (), no_patch: Iterable[str] = ()) -> tuple[str, ...]:
    """Make the waits of the standard library and of every known library yield to the hub.

    Make it the program's first line, before other imports. Libraries are patched when they are imported, or at once if
    they have been. `patch` names optional patches to apply too, `no_patch` those to leave out; a later call adds to
    an earlier one. What was imported before and holds unpatched names is given the patched ones where that is safe; for
    this there is no undo. Returns a line of text for everything that stays blocking. Raises ValueError for a name that
    no patch has.
    """
    return (*patch_standard_library(), *patch_libraries(patch=patch, no_patch=no_patch))


def patch_libraries(*, patch: Iterable[str] = (), no_patch: Iterable[str] = ()) -> tuple[str, ...]:
    """What `patch_all` does after patching the standard library."""
    problems: list[str] = []
    add_third_party()
    REGISTRY.report = problems.append
    try:
        REGISTRY.apply(patch, no_patch)
    finally:
        REGISTRY.report = log_refusal
    problems += cure_early_imports()
    return tuple(problems)


def cure_early_imports() -> list[str]:
    """Rebind what modules took that were loaded before the patching; describe the rest. Costs nothing the second time.

    The `hublet` command patches first, so that there is next to nothing to look at.
    """
    modules = tuple(LOADED_BEFORE)
    LOADED_BEFORE.clear()
    if not modules:
        return []
    cure_ssl_context()
    CAPTURES.extend(rebind_captures(modules, REGISTRY.patches()))
    return [f"{explain(each, modules)}; {REMEDY}" for each in CAPTURES if not each.rebound]


def add_third_party() -> None:
    """Take in the patches that installed packages offer. Nothing happens the second time."""
    for each in third_party_patches():
        if each.name not in REGISTRY.outcomes:
            REGISTRY.add(each)
