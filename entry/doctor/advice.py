"""What to do about a line that blocked the hub: by the libraries on its stack, then by what the line itself calls."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from ..patches.early_imports import parsed
from ..patches.registry import Registry
from ..patches.replacement import Patch
from ..runtime.hub_watch import Blocker, SourceLine

SITE: Final = ("/site-packages/", "/dist-packages/")
OPERATIONS: Final = frozenset(
    {"connect", "cursor", "execute", "executemany", "executescript", "callproc", "commit", "rollback", "close"}
    | {"fetchone", "fetchmany", "fetchall", "copy_expert", "copy_from", "copy_to", "ping"}
)
GENERIC: Final = (
    "if it waits in compiled code, or computes there without the GIL, hublet.offload(function, ...) "
    "runs it on a native thread; Python code that computes needs a process of its own, or gevent.sleep(0) now and then"
)


def remedy_for(blocker: Blocker, registry: Registry, loaded: Collection[str] = ()) -> str:
    """What the registry says about the libraries that were at work; what to do in general if it knows none.

    `loaded` are those of `known_modules` that the process has. Compiled code leaves no frame on the stack, and what
    `cursor` is nobody can tell: for the operations of PEP 249 every driver that is loaded is named.
    """
    patches = registry.patches()
    called = set(names_called(blocker.line))
    by_name = [each for each in patches if is_called(each, called)]
    packages = [package_of(each) for each in blocker.stack]
    by_stack = [each for package in packages for each in patches if package and root_of(each) == package]
    by_kind = [each for each in patches if root_of(each) in loaded] if is_operation(called) else []
    found = list(dict.fromkeys(advice(each) for each in (*by_name, *by_stack, *by_kind)))
    return "; ".join(filter(None, found[:3])) or GENERIC


def known_modules(registry: Registry) -> list[str]:
    """The top-level modules of the libraries that do not yield by themselves."""
    patches = registry.patches()
    return sorted({root_of(each) for each in patches if each.effect != "cooperative"} - {""})


def is_operation(called: Iterable[str]) -> bool:
    """Whether a line calls a method that database drivers have."""
    return any("." in each and each.rpartition(".")[2] in OPERATIONS for each in called)


def advice(patch: Patch) -> str:
    """What a patch's entry says to somebody whose line blocked all the same."""
    if patch.remedy:
        return f"{patch.name}: {patch.remedy}"
    if patch.optional:
        return f"{patch.name}: start with --patch {patch.name}"
    return f"{patch.name}: {patch.why}; see what `hublet doctor module:app` says about it" if patch.why else ""


def root_of(patch: Patch) -> str:
    """The top-level module of a library; empty for the standard library's, which everything calls, but for SQLite's."""
    root = patch.module.partition(".")[0]
    return root if patch.distribution or root == "sqlite3" else ""


def is_called(patch: Patch, called: set[str]) -> bool:
    """Whether a line calls one of the names that a patch replaces, or a function of its module."""
    targets = {each.target.replace(":", ".") for each in patch.replacements}
    if targets & called:
        return True
    return bool(patch.distribution) and any(each.startswith(patch.module + ".") for each in called)


def package_of(place: SourceLine) -> str:
    """The installed package that a line belongs to, or empty."""
    for site in SITE:
        _, found, rest = place.file.rpartition(site)
        if found:
            return rest.partition("/")[0].removesuffix(".py")
    return ""


def source_text(place: SourceLine) -> str:
    """The line itself."""
    return linecache.getline(place.file, place.line).strip()


def names_called(place: SourceLine) -> Iterator[str]:
    """What the statement on a line calls, by full names as far as the file's imports tell: `time.sleep`."""
    tree = parsed(place.file)
    if tree is None:
        return
    imported = dict(imported_names(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.lineno <= place.line <= (node.end_lineno or node.lineno):
            parts: list[str] = []
            function: ast.expr = node.func
            while isinstance(function, ast.Attribute):
                parts.insert(0, function.attr)
                function = function.value
            if isinstance(function, ast.Name):
                yield ".".join((imported.get(function.id, function.id), *parts))


def imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What names in a file mean that imports bind."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"
