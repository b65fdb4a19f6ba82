"""A patch as data: names of other people's modules, and what takes their place, with an undo."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from typing import Any


@dataclass(frozen=True, slots=True)
class Replacement:
    """One name: `target` is where it is, `by` what replaces it; "module:attribute" or "module:class.method"."""

    target: str
    by: str


@dataclass(slots=True)
class Patch:
    """Replacements that belong together. `why` says what they are good for.

    Applying imports the modules of both sides. Undoing restores what was there, so that the modules are as before.
    """

    name: str
    why: str
    replacements: tuple[Replacement, ...]
    originals: list[tuple[Any, str, Any]] = field(default_factory=list)

    @property
    def is_applied(self) -> bool:
        """Whether the replacements are in place."""
        return bool(self.originals)

    def apply(self) -> None:
        """Put the replacements in place; nothing happens if they are. Raises ImportError or AttributeError."""
        if self.is_applied:
            return
        found = [(*holder_and_name(each.target), resolved(each.by)) for each in self.replacements]
        for holder, name, _ in found:
            if name not in vars(holder):
                raise AttributeError(f"{holder!r} has no {name!r} of its own to replace", name=name, obj=holder)
        self.originals = [(holder, name, vars(holder)[name]) for holder, name, _ in found]
        for holder, name, value in found:
            setattr(holder, name, value)

    def undo(self) -> None:
        """Put back what was there."""
        while self.originals:
            holder, name, original = self.originals.pop()
            setattr(holder, name, original)


def holder_and_name(target: str) -> tuple[Any, str]:
    """The module or class that holds a name, and the name."""
    module, _, path = target.partition(":")
    outer, _, name = path.rpartition(".")
    holder: Any = import_module(module)
    return (attrgetter(outer)(holder) if outer else holder), name


def resolved(path: str) -> Any:
    """The object that "module:attribute" names."""
    holder, name = holder_and_name(path)
    return getattr(holder, name)
