"""Keeps the patches, applies each when its library is imported, and remembers what came of it.

A library is never imported for its patch's sake. One that is reloaded, or imported again, gets its patch again. A
version that a patch was not tested with gets it if its structure is what the patch expects (`Patch.misfit`); otherwise
it is left as it is, and that is reported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal

from .import_hook import ImportHook
from .replacement import Patch

#: waiting: its library has not been imported; off: not wanted; refused: the library is not what the patch expects;
#: known: there is nothing to apply.
State = Literal["waiting", "applied", "off", "refused", "known"]
ENTRY_POINTS: Final = "hublet.patches"


@dataclass(slots=True)
class Outcome:
    """What came of a patch. `version` is the library's, once it is loaded; `problem` says why it was refused."""

    patch: Patch
    state: State
    version: str = ""
    problem: str = ""


class UnknownPatch(ValueError):
    """There is no patch of this name. `name` is what was asked for, `known` what there is."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = sorted(known)
        super().__init__(f"there is no patch {name!r}; there are {', '.join(self.known)}")


class Registry:
    """The patches of a process. `report` is called with a line of text for each that could not be applied."""

    def __init__(self, patches: Iterable[Patch], report: Callable[[str], Any]) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.report = report
        self._by_module: dict[str, list[Patch]] = {}
        self._hook = ImportHook(self._by_module, self._imported)
        for patch in patches:
            self.add(patch)

    def add(self, patch: Patch) -> None:
        """Take a patch in. Raises ValueError for a name that is taken."""
        if patch.name in self.outcomes:
            raise ValueError(f"there are two patches named {patch.name!r}")
        self.outcomes[patch.name] = Outcome(patch, "waiting" if patch.changes_something else "known")
        for module in sorted(patch.modules):
            self._by_module.setdefault(module, []).append(patch)

    def patches(self) -> list[Patch]:
        """All of them."""
        return [each.patch for each in self.outcomes.values()]

    def check(self, names: Iterable[str]) -> None:
        """Raise UnknownPatch for the first name that no patch has."""
        for name in names:
            if name not in self.outcomes:
                raise UnknownPatch(name, self.outcomes)

    def apply(self, wanted: Iterable[str] = (), unwanted: Iterable[str] = ()) -> None:
        """Apply the patches of the libraries that are loaded, and the others when theirs are.

        `wanted` names optional ones to apply too, `unwanted` those to leave out. Raises UnknownPatch.
        """
        wanted, unwanted = set(wanted), set(unwanted)
        self.check(sorted(wanted | unwanted))
        for name, outcome in self.outcomes.items():
            if outcome.state == "waiting" and (name in unwanted or (outcome.patch.optional and name not in wanted)):
                outcome.state = "off"
            elif outcome.state == "off" and name in wanted:
                outcome.state = "waiting"
        self._hook.install()
        for outcome in list(self.outcomes.values()):
            if is_loaded(outcome.patch.module):
                outcome.version = version_of(outcome.patch)
                if outcome.state == "waiting":
                    self._put(outcome, outcome.patch.apply)

    def undo(self) -> None:
        """Take every patch back, and forget what was wanted."""
        self._hook.uninstall()
        for outcome in reversed(self.outcomes.values()):
            outcome.patch.undo()
            if outcome.state != "known":
                outcome.state, outcome.problem = "waiting", ""

    def _imported(self, module: str) -> None:
        """A library, or a module of one that a patch changes, has run: for the first time, or anew."""
        for patch in self._by_module[module]:
            outcome = self.outcomes[patch.name]
            if patch.module == module:
                outcome.version = version_of(patch)
                if outcome.state not in ("off", "known"):
                    self._put(outcome, patch.renew if patch.is_applied else patch.apply)
            elif outcome.state == "applied" and is_loaded(patch.module):
                self._put(outcome, patch.renew)

    def _put(self, outcome: Outcome, put: Callable[[], None]) -> None:
        """Apply the patch if it fits, or say why not."""
        patch = outcome.patch
        try:
            outcome.problem = "" if is_tested(patch, outcome.version) else patch.misfit()
            if not outcome.problem:
                put()
        except Exception as error:
            outcome.problem = f"{type(error).__name__}: {error}"
        outcome.state = "refused" if outcome.problem else "applied"
        if outcome.problem:
            name = f"{patch.distribution or patch.module} {outcome.version}".rstrip()
            self.report(
                f"{name} stays unpatched and may stop every request: the patch {patch.name!r}, tested with "
                f"{patch.versions or 'this Python'}, does not fit ({outcome.problem})"
            )


def is_loaded(module: str) -> bool:
    """Whether a module has been imported to its end."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return module in sys.modules and not getattr(spec, "_initializing", False)


def version_of(patch: Patch) -> str:
    """The version of a patch's library; empty for the standard library, and if nobody knows."""
    if not patch.distribution:
        return ""
    metadata = import_module("importlib.metadata")  # it loads much of the standard library: only where it is needed
    try:
        return str(metadata.version(patch.distribution))
    except metadata.PackageNotFoundError:
        loaded = sys.modules.get(patch.module.partition(".")[0])  # by another distribution, such as psycopg2-binary
        return str(getattr(loaded, "__version__", "")).partition(" ")[0]


def is_tested(patch: Patch, version: str) -> bool:
    """Whether a version is one that the patch was tested with."""
    if not patch.distribution:
        return True
    specifiers = import_module("packaging.specifiers")
    return bool(version) and bool(specifiers.SpecifierSet(patch.versions).contains(version, prereleases=True))


def third_party_patches() -> Iterable[Patch]:
    """The patches that installed packages offer as entry points, each a Patch or an iterable of them."""
    for point in import_module("importlib.metadata").entry_points(group=ENTRY_POINTS):
        offered = point.load()
        yield from [offered] if isinstance(offered, Patch) else offered
