"""Finds in the sources the import that was too early: the line that took a name, and who imported that module first."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .captures import Capture, is_exempt


class Place(NamedTuple):
    """A line of a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def explain(capture: Capture, modules: Sequence[str]) -> str:
    """What holds an original, by which line, and which line imported its module; `modules` are in their order."""
    taken = place_of_capture(capture)
    importer = place_of_import(capture.module, modules)
    by = f" ({taken})" if taken else ""
    early = f", imported too early by {importer}" if importer else ", imported too early"
    return f"{capture}{by}{early}: {capture.consequence}"


def place_of_capture(capture: Capture) -> Place | None:
    """The line in a module's source that took the original; at worst the one that binds what holds it."""
    file = source_file(capture.module)
    tree = parsed(file) if file else None
    if file is None or tree is None:
        return None
    home, _, name = capture.original.rpartition(".")
    holder = capture.path.partition(".")[0].partition("[")[0]
    lines: list[tuple[int, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name == name and is_same_module(node.module, home):
                    lines.append((0 if (alias.asname or alias.name) == holder else 1, node.lineno))
                elif (alias.asname or alias.name) == holder:
                    lines.append((2, node.lineno))
        elif isinstance(node, ast.Attribute) and node.attr == name:
            lines.append((3, node.lineno))
        elif holder in bound_names(node):
            lines.append((4, node.lineno))  # type: ignore[attr-defined]
    return Place(file, min(lines)[1]) if lines else None


def is_same_module(one: str | None, other: str) -> bool:
    """Whether two modules of the standard library share their originals: `_thread` and `threading`, ..."""
    return one is not None and one.removeprefix("_").startswith(other.removeprefix("_")[:6])


def bound_names(node: ast.AST) -> set[str]:
    """The names that a statement binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {each.id for each in node.targets if isinstance(each, ast.Name)}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return set()


def place_of_import(module: str, modules: Sequence[str]) -> Place | None:
    """The line that imported a module first, as far as the order of `sys.modules` tells.

    The import system moves a module to the end when its import is complete. So the importer is the next one behind it
    whose source names it, or, if that is not complete itself, the nearest before it.
    """
    if module not in modules:
        return None
    index = modules.index(module)
    for name in (*modules[index + 1 :], *reversed(modules[:index])):
        file = source_file(name)
        if file is None or is_exempt(name) or module.rpartition(".")[2] not in text_of(file):
            continue
        for imported, line in imports_of(name, file):
            if imported == module or imported.startswith(module + "."):
                return Place(file, line)
    return None


def imports_of(name: str, file: str) -> Iterator[tuple[str, int]]:
    """What a module imports: names of modules, and of what may be one, with their lines."""
    tree = parsed(file)
    if tree is None:
        return
    package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            home = ".".join(filter(None, (base, node.module)))
            yield home, node.lineno
            for alias in node.names:
                yield f"{home}.{alias.name}", node.lineno


def source_file(module: str) -> str | None:
    """The file with a module's source."""
    file = vars(sys.modules[module]).get("__file__") if module in sys.modules else None
    return file if isinstance(file, str) and file.endswith(".py") else None


@cache
def text_of(file: str) -> str:
    """A source file's text; empty if it cannot be read."""
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@cache
def parsed(file: str) -> ast.Module | None:
    """A source file's tree; None if it cannot be parsed."""
    try:
        return ast.parse(text_of(file))
    except (SyntaxError, ValueError):
        return None
