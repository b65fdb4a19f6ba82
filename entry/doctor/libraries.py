"""How each library that is loaded behaves, from the registry of patches; and those that the registry does not know."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import metadata

import gevent

from ..patches.registry import Outcome, Registry, is_loaded, version_of
from ..patches.replacement import Patch
from ..patches.stdlib import is_standard_library_patched
from .findings import Library, Status
from .shared_objects import Suspect, find_suspects

UNKNOWN_REMEDY = "measure it (--probe, --watch); hublet.offload(function, ...) runs a call elsewhere"


def describe_libraries(registry: Registry) -> list[Library]:
    """The libraries that this process has loaded, those that block first."""
    found = [standard_library()]
    found += [describe(each) for each in registry.outcomes.values() if is_here(each.patch)]
    found += describe_suspects(find_suspects(), known_packages(registry))
    order = ("blocks", "unknown", "off", "off-loaded", "patched", "cooperative")
    return sorted(found, key=lambda each: (order.index(each.status), each.name))


def standard_library() -> Library:
    """What gevent makes of the standard library."""
    if is_standard_library_patched():
        return Library("standard library", f"gevent {gevent.__version__}", "patched")
    why = "its sockets, sleeps and locks stop every request"
    return Library("standard library", sys.version.split()[0], "blocks", "", why, "start with the `hublet` command")


def is_here(patch: Patch) -> bool:
    """Whether a library is loaded, as far as its own modules are: some load what is patched at the first connection."""
    return is_loaded(patch.module) or bool(patch.distribution and is_loaded(patch.module.partition(".")[0]))


def describe(outcome: Outcome) -> Library:
    """One entry of the registry whose library is loaded."""
    patch = outcome.patch
    name = patch.name if patch.distribution in ("", patch.name) else f"{patch.distribution} ({patch.name})"
    status: Status = patch.effect
    remedy = patch.remedy
    cost = patch.cost
    if outcome.state == "off":
        status, cost = ("off" if patch.optional else "blocks"), ""
        remedy = f"--patch {patch.name}" if patch.optional else f"do not give --no-patch {patch.name}"
    elif outcome.state == "refused":
        status, cost = "blocks", ""
        remedy = f"{outcome.problem}; tested: {patch.versions or 'another Python'}" + (remedy and f"; {remedy}")
    elif outcome.state == "waiting" and is_loaded(patch.module):
        status, cost, remedy = "blocks", "", "it was loaded without its patch: call hublet.patch_all()"
    return Library(name, outcome.version or version_of(patch), status, cost, patch.why, remedy)


def known_packages(registry: Registry) -> set[str]:
    """The top-level modules that the registry speaks about."""
    return {each.patch.module.partition(".")[0] for each in registry.outcomes.values()}


def describe_suspects(suspects: Iterable[Suspect], known: set[str]) -> list[Library]:
    """Packages with compiled code that waits for the network or for files by itself, as its symbols tell."""
    found = []
    modules_of = modules_by_distribution()
    for suspect in suspects:
        modules = modules_of.get(normal(suspect.package), {suspect.package})
        if modules & known:
            continue
        version = ""
        for distribution in {suspect.package, *distributions_of(suspect.package)}:
            try:
                version = metadata.version(distribution)
                break
            except metadata.PackageNotFoundError:
                pass
        why = f"{suspect.file} calls {', '.join(suspect.symbols)} by itself"
        found.append(Library(suspect.package, version, "unknown", "", why, UNKNOWN_REMEDY))
    return found


def normal(name: str) -> str:
    """A distribution's name in the spelling that compares (PEP 503)."""
    return name.lower().replace("_", "-").replace(".", "-")


def modules_by_distribution() -> dict[str, set[str]]:
    """The top-level modules of each installed distribution."""
    found: dict[str, set[str]] = {}
    for module, distributions in metadata.packages_distributions().items():
        for each in distributions:
            found.setdefault(normal(each), {normal(each)}).add(module)
    return found


def distributions_of(module: str) -> list[str]:
    """The distributions that bring a top-level module."""
    return list(metadata.packages_distributions().get(module, []))
