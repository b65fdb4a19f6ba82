"""Calls back when a module has been imported; finders, loaders and specs stay the real ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec
from types import ModuleType
from typing import Any


class ImportHook:
    """Stands first on `sys.meta_path` and calls `imported(name)` after one of `names` has run as a module.

    What the callback raises, the import raises.
    """

    def __init__(self, names: Container[str], imported: Callable[[str], None]) -> None:
        self._names = names
        self._imported = imported
        self._path: list[Any] = sys.meta_path

    def install(self) -> None:
        """Watch imports from now on."""
        if self not in self._path:
            self._path.insert(0, self)

    def uninstall(self) -> None:
        """Watch them no more."""
        if self in self._path:
            self._path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Ask the finders behind this one, and have the loader that they name tell us (the protocol of finders)."""
        if name not in self._names:
            return None
        for finder in self._path[self._path.index(self) + 1 :]:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find else None
            if spec is not None:
                self._listen(spec)
                return spec
        return None

    def _listen(self, spec: ModuleSpec) -> None:
        """Have the loader call back; one that has no attributes of its own is left alone.

        That of built-in and frozen modules is a class, which is everybody's: an instance takes its place meanwhile. A
        loader of zip files is that of many modules, of which any may be the next to run: `importlib.util.find_spec`
        asks for one, and runs none.
        """
        own: Any = spec.loader
        loader = spec.loader = own() if own in (BuiltinImporter, FrozenImporter) else own
        if isinstance(loader, type) or not hasattr(loader, "exec_module") or not hasattr(loader, "__dict__"):
            return
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            loader.__dict__.pop("exec_module", None)
            if loader is not own:
                spec.loader = module.__loader__ = own
            execute(module)
            if sys.modules.get(spec.name) is module:
                self._imported(spec.name)

        loader.__dict__["exec_module"] = exec_module
