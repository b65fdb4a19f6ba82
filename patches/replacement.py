"""A patch as data: names of other people's modules, and what takes their place, with an undo."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from types import ModuleType
from typing import Any, Literal, NamedTuple

from . import builtin_types

#: How a library behaves under the hub: as it is, with names replaced, with its waits on native threads, or not at all.
Effect = Literal["cooperative", "patched", "off-loaded", "blocks"]


@dataclass(frozen=True, slots=True)
class Replacement:
    """One name: `target` is where it is, `by` what replaces it; "module:attribute" or "module:class.method".

    With `wraps`, `by` names a function that takes the original and returns what replaces it.
    """

    target: str
    by: str
    wraps: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What cannot be said as a replacement, a call of a library's own: two functions, "module:attribute" each."""

    do: str
    undo: str


class Placed(NamedTuple):
    """A replacement that has been put in place: what was there, and what is there now."""

    holder: Any
    name: str
    original: Any
    value: Any


@dataclass(slots=True)
class Patch:
    """What makes one library yield, or, without replacements and steps, what is known about it.

    `why` says what is wrong without the patch, and `cost` what the patch costs. `module` is the import that brings the
    library, `distribution` its name in the registries of packages (empty: the standard library), `versions` the range
    (PEP 440) in which it was tested. `remedy` is what a user does where it blocks all the same. An `optional` one is
    applied only where it is asked for by name.

    Applying imports the modules of both sides. Undoing restores what was there, so that the modules are as before.
    """

    name: str
    why: str
    replacements: tuple[Replacement, ...] = ()
    steps: tuple[Step, ...] = ()
    module: str = ""
    distribution: str = ""
    versions: str = ""
    effect: Effect = "patched"
    cost: str = ""
    remedy: str = ""
    optional: bool = False
    placed: list[Placed] = field(default_factory=list, repr=False)
    undoing: list[Callable[[], None]] = field(default_factory=list, repr=False)
    library: ModuleType | None = field(default=None, repr=False)

    @property
    def changes_something(self) -> bool:
        """Whether there is something to apply."""
        return bool(self.replacements or self.steps)

    @property
    def is_applied(self) -> bool:
        """Whether the replacements are in place."""
        return bool(self.placed or self.undoing)

    @property
    def modules(self) -> set[str]:
        """The modules that it changes, and the one that brings the library."""
        return {self.module, *(each.target.partition(":")[0] for each in self.replacements)}

    def apply(self) -> None:
        """Put the replacements in place; nothing happens if they are. Raises ImportError or AttributeError."""
        if not self.is_applied:
            self._put_in_place()

    def renew(self) -> None:
        """Put the replacements in place again where the library, or one of its modules, has been imported anew.

        Its former self stays patched, for those who still use it. Raises ImportError or AttributeError.
        """
        if self.distribution and sys.modules.get(self.module) is not self.library:
            others = sys.stdlib_module_names | {self.module.partition(".")[0]}
            for path in (*(each.by for each in self.replacements), *(each.do for each in self.steps)):
                if path.partition(":")[0].partition(".")[0] not in others:
                    sys.modules.pop(path.partition(":")[0], None)  # it refers to that former self
        while self.undoing:
            self.undoing.pop()()
        self._put_in_place()

    def _put_in_place(self) -> None:
        found = [(*holder_and_name(each.target), each) for each in self.replacements]
        found = [each for each in found if not self._is_in_place(*each[:2])]
        for holder, name, _ in found:
            if name not in vars(holder):
                raise AttributeError(f"{holder!r} has no {name!r} of its own to replace", name=name, obj=holder)
        values = [replacing(each, getattr(holder, name)) for holder, name, each in found]
        steps = [(resolved(each.do), resolved(each.undo)) for each in self.steps]
        try:
            for (holder, name, _), value in zip(found, values, strict=True):
                self.placed = [each for each in self.placed if (each.holder, each.name) != (holder, name)]  # reloaded
                original = vars(holder)[name]
                put(holder, name, value)
                self.placed.append(Placed(holder, name, original, value))
            for do, undo in steps:
                do()
                self.undoing.append(undo)
        except BaseException:
            self.undo()
            raise
        self.library = sys.modules.get(self.module)

    def _is_in_place(self, holder: Any, name: str) -> bool:
        return any(each[:2] == (holder, name) and vars(holder).get(name) is each.value for each in self.placed)

    def undo(self) -> None:
        """Put back what was there."""
        while self.undoing:
            self.undoing.pop()()
        while self.placed:
            holder, name, original, _ = self.placed.pop()
            put(holder, name, original)

    def misfit(self) -> str:
        """Say why the library at hand is not one that this patch was written for; empty if it seems to be.

        Each target must be there, a class where a class replaces it, and take no parameter that its replacement, as
        far as both can be asked, does not take.
        """
        for each in self.replacements:
            try:
                holder, name = holder_and_name(each.target)
                original = getattr(holder, name)
                value = replacing(each, original)
            except (ImportError, AttributeError) as error:
                return f"{each.target}: {error}"
            if name not in vars(holder):
                return f"{each.target} is inherited"
            if isinstance(original, type) != isinstance(value, type):
                return f"{each.target} is {type(original).__name__}, not {type(value).__name__}"
            if lacking := lacks(original, value):
                return f"{each.target} takes {', '.join(sorted(lacking))}, which its replacement does not"
        return ""


def put(holder: Any, name: str, value: Any) -> None:
    """Set an attribute of a module or class, also of one that is written in C."""
    if builtin_types.is_builtin(holder):
        builtin_types.put(holder, name, value)
    else:
        setattr(holder, name, value)


def replacing(replacement: Replacement, original: Any) -> Any:
    """What takes the place of an original."""
    value = resolved(replacement.by)
    return value(original) if replacement.wraps else value


def lacks(original: Any, value: Any) -> set[str]:
    """The parameters of a function that the one in its place does not take, as far as they can be asked."""
    try:
        theirs, ours = (inspect.signature(each).parameters.values() for each in (original, value))
    except (TypeError, ValueError):
        return set()  # compiled functions need not say
    if any(each.kind is each.VAR_KEYWORD for each in ours):
        return set()
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {each.name for each in theirs if each.kind not in variable} - {each.name for each in ours}


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
