"""Finds what took an unpatched name of the standard library before the patching, and puts the patched one in its place.

`from time import sleep`, a default argument, a closure: each holds an object, not a name, so that the patching does not
reach it. gevent keeps every original, so each can be recognised by its identity, wherever it is held.

Rules:
- Only modules that were loaded before the patching are walked, and only what belongs to them: never the standard
  library, gevent, greenlet or hublet, which keep originals on purpose.
- No attribute of a foreign object is asked for in the ordinary way, since lazy objects (Django's settings, Werkzeug's
  proxies) would begin to work: types, and the descriptors that the interpreter itself made, are all that is used.
- A place is changed only if its owner looks there again at each use. What an object was made from (a base class, a
  socket, a queue with items in it, a lock that somebody else holds or refers to) is reported instead.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, Final

from gevent import monkey

from ..runtime.limits import CAPTURE_DEPTH, CAPTURE_ITEMS
from .originals import CONSEQUENCES, MISSING, WHOLE, Original, native_objects, originals
from .replacement import Patch
from .stdlib import EXEMPT

CONTAINERS: Final = (dict, list, tuple, set, frozenset)
NATIVE_QUEUE: Final = monkey.get_original("queue", "SimpleQueue")
CONDITION: Final = threading.Condition
# What holds nothing: most of what there is to look at.
LEAVES: Final = frozenset({str, int, float, complex, bool, bytes, bytearray, type(None), re.Pattern, ModuleType})


@dataclass(slots=True)
class Capture:
    """A place that holds an original: `path` in `module` holds `original`.

    `rebind` puts what replaces it there, and is None where that is impossible or unsafe; `rebound` says that this was
    done.
    """

    module: str
    path: str
    kind: str
    original: str
    consequence: str
    rebind: Callable[[], None] | None = field(default=None, repr=False)
    rebound: bool = False

    def __str__(self) -> str:
        where = f"{self.module}.{self.path}" if self.path else self.module
        what = {"subclass": "is a subclass of the unpatched", "instance": "is an unpatched"}.get(self.kind)
        return f"{where} {what or f'({self.kind}) holds the unpatched'} {self.original}"


def is_exempt(module: object) -> bool:
    """Whether what belongs to a module is left alone."""
    return not isinstance(module, str) or module.partition(".")[0] in EXEMPT


def find_captures(modules: Iterable[str], patches: Iterable[Patch] = ()) -> list[Capture]:
    """What the named modules, those loaded before the patching, hold of what it replaced. Changes nothing."""
    walk = Walk(patches)
    for name in modules:
        module = sys.modules.get(name)
        if module is not None and not is_exempt(name):
            walk.module(name, module)
    walk.keep_shared()
    return walk.found


def rebind_captures(modules: Iterable[str], patches: Iterable[Patch] = ()) -> list[Capture]:
    """Find them, and rebind what is safe to rebind; there is no undo, as there is none for gevent's patching.

    Returns all, with `rebound` set for those that need no more attention.
    """
    found = find_captures(modules, patches)
    for each in found:
        if each.rebind is not None:
            each.rebind()
            each.rebound, each.rebind = True, None  # which would keep alive what it works on
    return found


class Walk:
    """One look at the objects of modules, each seen once."""

    def __init__(self, patches: Iterable[Patch] = ()) -> None:
        self.found: list[Capture] = []
        self._originals = originals(patches)
        self._native = native_objects()
        self._classes = {
            each.value: each.name
            for each in self._originals.values()
            if isinstance(each.value, type) and each.name in CONSEQUENCES
        }
        self._candidates: list[tuple[Any, Capture]] = []
        self._condition_candidates: list[tuple[Any, Capture]] = []
        self._seen: set[int] = set()
        self._layouts: dict[type, tuple[Any, tuple[tuple[str, Any], ...]]] = {}
        self._module = ""

    def module(self, name: str, module: ModuleType) -> None:
        """Look at what a module holds."""
        names = self._dict_of(module)
        if names is None or id(names) in self._seen:
            return
        self._seen.add(id(names))
        self._module = name
        for key, value in list(names.items()):
            if isinstance(key, str) and not (key.startswith("__") and key.endswith("__")):
                self._place(key, value, "attribute", partial(names.__setitem__, key), CAPTURE_DEPTH)

    def _place(self, path: str, value: Any, kind: str, put: Callable[[Any], object] | None, depth: int) -> None:
        """Look at one place that holds a value; `put` changes what it holds."""
        cls = type(value)
        if cls in LEAVES:
            return
        original = self._originals.get(id(value))
        if original is not None:
            if original.package != self._module.partition(".")[0]:
                self._captured(path, original, kind, put)
            return
        if cls in self._native:
            self._native_object(path, value, kind, put)
        elif cls is CONDITION:
            self._condition(path, value)
        elif depth and id(value) not in self._seen and (look := self._look_of(cls)) is not None:
            self._seen.add(id(value))
            look(path, value, depth - 1)

    def _captured(self, path: str, original: Original, kind: str, put: Callable[[Any], object] | None) -> None:
        possible = put is not None and original.patched is not MISSING
        rebind = partial(replace, put, original.patched) if put is not None and possible else None
        self._add(path, kind, original.name, rebind)

    def _native_object(self, path: str, value: Any, kind: str, put: Callable[[Any], object] | None) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        name, make = self._native[type(value)]
        possible = put is not None and make is not None and is_at_rest(value)
        rebind = partial(replace_new, put, make, local_values(value)) if put and make and possible else None
        capture = self._add(path, "instance", name, rebind)
        self._candidates.append((value, capture))

    def _condition(self, path: str, condition: Any) -> None:
        """A condition, whose lock is native if it was made before the patching; it is given another one."""
        lock = vars(condition).get("_lock")
        if type(lock) not in self._native or id(condition) in self._seen:
            return
        self._seen.add(id(condition))
        name, make = self._native[type(lock)]
        possible = make is not None and is_at_rest(lock) and not condition._waiters
        rebind = partial(replace_lock, condition, make) if make and possible else None
        capture = self._add(path, "instance", f"{CONDITION.__module__}.{CONDITION.__name__}", rebind)
        capture.consequence = CONSEQUENCES[name]
        self._condition_candidates.append((lock, capture))
        methods = [each for each in vars(condition).values() if type(each) is BuiltinFunctionType]
        self._candidates += [(each, capture) for each in methods]  # the lock's, which somebody may have taken

    def keep_shared(self) -> None:
        """Leave native objects alone that are referred to from more than one place: some would keep the old one."""
        for (_, capture), count in zip(self._candidates, references(self._candidates), strict=True):
            if count > references_of_one():
                capture.rebind = None
        locks = self._condition_candidates
        for (lock, capture), count in zip(locks, references(locks), strict=True):
            if count > references_of_condition(type(lock)):
                capture.rebind = None

    def _add(self, path: str, kind: str, name: str, rebind: Callable[[], None] | None) -> Capture:
        capture = Capture(self._module, path, kind, name, CONSEQUENCES.get(name, WHOLE), rebind)
        self.found.append(capture)
        return capture

    def _look_of(self, cls: type) -> Callable[[str, Any, int], None] | None:
        if cls is FunctionType:
            return self._function
        if issubclass(cls, type):
            return self._class
        if cls in CONTAINERS:
            return self._container
        if cls is partial:
            return self._partial
        if cls in (staticmethod, classmethod, MethodType):
            return self._wrapper
        if cls is property:
            return self._property
        if issubclass(cls, ModuleType):
            return None
        return self._instance

    def _function(self, path: str, function: Any, depth: int) -> None:
        if is_exempt(function.__module__) or is_exempt(function.__globals__.get("__name__", function.__module__)):
            return  # the second is where it was written: functools.wraps changes the first
        for number, value in enumerate(function.__defaults__ or ()):
            self._place(f"{path}", value, "default argument", partial(put_default, function, number), depth)
        keywords = function.__kwdefaults__ or {}
        for key, value in list(keywords.items()):
            self._place(f"{path}", value, "keyword default", partial(keywords.__setitem__, key), depth)
        for cell in function.__closure__ or ():
            value = contents(cell)
            if value is not MISSING:
                self._place(path, value, "closure", partial(put_cell, cell), depth)
        for key, value in list(function.__dict__.items()):
            self._place(f"{path}.{key}", value, "attribute", partial(function.__dict__.__setitem__, key), depth)

    def _class(self, path: str, cls: Any, depth: int) -> None:
        names = type.__dict__["__dict__"].__get__(cls)
        if is_exempt(names.get("__module__")):
            return
        bases = type.__dict__["__mro__"].__get__(cls)
        for base in bases:
            name = self._classes.get(base)
            if name is not None and self._originals[id(base)].patched not in bases:
                self._add(path, "subclass", name, None)
                break
        for key, value in list(names.items()):
            put = partial(type.__setattr__, cls, key) if not key.startswith("__") else None
            if type(value) in (staticmethod, classmethod) and put is not None:
                put, value = partial(put_wrapped, put, type(value)), value.__func__
            self._place(f"{path}.{key}", value, "class attribute", put, depth)

    def _container(self, path: str, container: Any, depth: int) -> None:
        if len(container) > CAPTURE_ITEMS:
            return
        if type(container) is dict:
            for key, value in list(container.items()):
                shown = repr(key) if type(key) in (str, int) else "..."
                self._place(f"{path}[{shown}]", value, "item", partial(container.__setitem__, key), depth)
        else:
            for number, value in enumerate(list(container)):
                put = partial(container.__setitem__, number) if type(container) is list else None
                self._place(f"{path}[{number}]", value, "item", put, depth)

    def _partial(self, path: str, made: Any, depth: int) -> None:
        self._place(path, made.func, "partial", partial(put_function, made), depth)
        self._container(path, made.args, depth)
        self._container(path, made.keywords, depth)

    def _wrapper(self, path: str, wrapper: Any, depth: int) -> None:
        self._place(path, wrapper.__func__, "method", None, depth)

    def _property(self, path: str, made: Any, depth: int) -> None:
        for function in (made.fget, made.fset, made.fdel):
            self._place(path, function, "property", None, depth)

    def _instance(self, path: str, value: Any, depth: int) -> None:
        cls = type(value)
        for base, name in self._classes.items():
            if issubclass(cls, base) and self._originals[id(base)].patched not in cls.__mro__:
                self._add(path, "instance", name, None)
                return
        exempt = is_exempt(type.__dict__["__dict__"].__get__(cls).get("__module__"))
        attributes = self._dict_of(value)
        for key, each in list(attributes.items()) if attributes else ():
            if exempt and type(each) is not NATIVE_QUEUE:  # a ThreadPoolExecutor's: whoever waits for it hangs all
                continue
            self._place(f"{path}.{key}", each, "attribute", partial(attributes.__setitem__, key), depth)
        for key, member in () if exempt else self._layout(cls)[1]:
            each = slot(member, value)
            if each is not MISSING:
                self._place(f"{path}.{key}", each, "attribute", partial(member.__set__, value), depth)

    def _dict_of(self, value: Any) -> Any:
        getter = self._layout(type(value))[0]
        return None if getter is None else getter(value)

    def _layout(self, cls: type) -> tuple[Any, tuple[tuple[str, Any], ...]]:
        """How to reach the attributes of a class's instances by the interpreter's own descriptors, and them only."""
        layout = self._layouts.get(cls)
        if layout is None:
            getter: Any = MISSING
            members = []
            for base in type.__dict__["__mro__"].__get__(cls):
                names = type.__dict__["__dict__"].__get__(base)
                if getter is MISSING and "__dict__" in names:
                    own = names["__dict__"]
                    getter = own.__get__ if type(own) in (GetSetDescriptorType, MemberDescriptorType) else None
                members += [each for each in names.items() if type(each[1]) is MemberDescriptorType]
            members = [each for each in members if each[0] != "__dict__"]
            layout = self._layouts[cls] = (None if getter is MISSING else getter, tuple(members))
        return layout


def references(candidates: Iterable[tuple[Any, Capture]]) -> list[int]:
    """How many references each candidate's object has, those of this function and its argument included."""
    return [sys.getrefcount(value) for value, _ in candidates]


def references_of_one() -> int:
    """What `references` returns for an object that one dict holds: the interpreter's version decides."""
    held = {"lock": monkey.get_original("_thread", "allocate_lock")()}
    return references([(held["lock"], Capture("", "", "", "", ""))])[0]


def references_of_condition(kind: type) -> int:
    """What `references` returns for a lock of this type that is only a condition's, which has its methods, too."""
    make = monkey.get_original("_thread", "allocate_lock")
    native = make() if kind is type(make()) else kind()
    held = {"condition": CONDITION(native)}
    del native
    return references([(vars(held["condition"])["_lock"], Capture("", "", "", "", ""))])[0]


def replace_lock(condition: Any, make: Callable[[], Any]) -> None:
    """Give a condition that nobody uses another lock."""
    condition.__init__(make())


def replace(put: Callable[[Any], object], patched: Any) -> None:
    """Put what replaces an original in its place."""
    put(patched)


def replace_new(put: Callable[[Any], object], make: Callable[[], Any], values: dict[str, Any]) -> None:
    """Put a new object in the place of one that does not know greenlets, with the attributes that are given."""
    made = make()
    if values:
        vars(made).update(values)
    put(made)


def put_default(function: Any, number: int, value: Any) -> None:
    """Change one default argument."""
    defaults = function.__defaults__
    function.__defaults__ = (*defaults[:number], value, *defaults[number + 1 :])


def put_wrapped(put: Callable[[Any], object], wrapper: type, value: Any) -> None:
    """Change what a static method or class method calls."""
    put(wrapper(value))


def put_cell(cell: CellType, value: Any) -> None:
    """Change a variable of a closure."""
    cell.cell_contents = value


def put_function(made: Any, value: Any) -> None:
    """Change what a functools.partial calls."""
    made.__setstate__((value, made.args, made.keywords, made.__dict__))


def contents(cell: CellType) -> Any:
    """A variable of a closure; MISSING if it has no value yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def slot(member: Any, value: Any) -> Any:
    """A slot of an instance; MISSING if it has no value."""
    try:
        return member.__get__(value)
    except AttributeError:
        return MISSING


def local_values(value: Any) -> dict[str, Any]:
    """What a native thread-local object holds for this thread."""
    return dict(vars(value)) if hasattr(value, "__dict__") else {}


def is_at_rest(value: Any) -> bool:
    """Whether a native lock is free, and a native queue empty."""
    if hasattr(value, "locked"):
        return not value.locked()
    if hasattr(value, "empty"):
        return bool(value.empty())
    return not (hasattr(value, "_is_owned") and value._is_owned())
