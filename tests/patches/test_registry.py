"""Patches are applied when their libraries come, or refused as a whole; undoing leaves everything as it was."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from hublet.patches import registry
from hublet.patches.import_hook import ImportHook
from hublet.patches.registry import Registry, UnknownPatch
from hublet.patches.replacement import Patch, Replacement, Step

from tests.patches.test_captures import run_python

LIBRARY = """
CALLS = []
def wait(seconds, *, quiet=False): return "blocks"
class Connection:
    def query(self, text): return "blocks"
"""
COOPERATIVE = """
import thelib
def wait(seconds, *, quiet=False): return "yields"
def old_wait(seconds): return "yields"
def wrap(original): return lambda seconds, quiet=False: original(seconds) + " elsewhere"
def query(self, text): return "yields"
def do(): thelib.CALLS.append("do")
def undo(): thelib.CALLS.append("undo")
def fail(): raise RuntimeError("no")
"""
WAIT = Replacement("thelib:wait", "thepatch:wait")
QUERY = Replacement("thelib:Connection.query", "thepatch:query")


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "thelib.py").write_text(LIBRARY)
    (tmp_path / "thepatch.py").write_text(COOPERATIVE)
    monkeypatch.syspath_prepend(tmp_path)
    path = list(sys.meta_path)
    yield tmp_path
    sys.meta_path[:] = path
    for name in ("thelib", "thepatch"):
        sys.modules.pop(name, None)


def patch(*replacements: Replacement, **fields: Any) -> Patch:
    return Patch("thelib", "it blocks", replacements, module="thelib", **fields)


def of_version(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(registry, "version_of", lambda patch: version)


def registry_of(*patches: Patch) -> tuple[Registry, list[str]]:
    lines: list[str] = []
    return Registry(patches, lines.append), lines


def test_it_is_applied_when_the_library_is_imported() -> None:
    made, lines = registry_of(patch(WAIT, QUERY, steps=(Step("thepatch:do", "thepatch:undo"),)))
    made.apply()
    assert not {"thelib", "thepatch"} & set(sys.modules)
    assert [each.state for each in made.outcomes.values()] == ["waiting"]
    thelib: Any = importlib.import_module("thelib")
    assert (thelib.wait(1), thelib.Connection().query(""), thelib.CALLS) == ("yields", "yields", ["do"])
    assert [each.state for each in made.outcomes.values()] == ["applied"]
    assert lines == []


def test_it_is_applied_at_once_where_the_library_is_loaded() -> None:
    thelib: Any = importlib.import_module("thelib")
    made, _ = registry_of(patch(Replacement("thelib:wait", "thepatch:wrap", wraps=True)))
    made.apply()
    assert thelib.wait(1) == "blocks elsewhere"


def test_undoing_leaves_the_library_identical() -> None:
    thelib: Any = importlib.import_module("thelib")
    before, methods = dict(vars(thelib)), dict(vars(thelib.Connection))
    made, _ = registry_of(patch(WAIT, QUERY, steps=(Step("thepatch:do", "thepatch:undo"),)))
    for _ in range(2):
        made.apply()
        assert vars(thelib)["wait"] is not before["wait"]
        made.undo()
        assert list(vars(thelib).items()) == list(before.items())
        assert list(vars(thelib.Connection).items()) == list(methods.items())
    assert thelib.CALLS == ["do", "undo"] * 2


def imported_again() -> Any:
    del sys.modules["thelib"]
    return importlib.import_module("thelib")


def reloaded() -> Any:
    return importlib.reload(sys.modules["thelib"])


@pytest.mark.parametrize("anew", [reloaded, imported_again])
def test_a_library_that_is_imported_anew_gets_its_patch_again(
    monkeypatch: pytest.MonkeyPatch, anew: Callable[[], Any]
) -> None:
    of_version(monkeypatch, "1")
    wrap = Replacement("thelib:wait", "thepatch:wrap", wraps=True)
    steps = (Step("thepatch:do", "thepatch:undo"), Step("gc:isenabled", "gc:isenabled"))
    collector = importlib.import_module("gc")
    made, lines = registry_of(patch(wrap, QUERY, steps=steps, distribution="the-lib", versions=">=1"))
    made.apply()
    first: Any = importlib.import_module("thelib")
    connected = first.Connection()
    for _ in range(3):
        thelib = anew()
        assert (thelib.wait(1), thelib.Connection().query("")) == ("blocks elsewhere", "yields")
        assert thelib.CALLS[-1] == "do"
        assert (made.outcomes["thelib"].state, lines) == ("applied", [])
        assert sys.modules["gc"] is collector
        assert connected.query("") == "yields"  # who holds the former library goes on with it
    made.undo()
    for library in (first, thelib):
        assert (library.wait(1), library.Connection().query("")) == ("blocks", "blocks")
        assert library.CALLS[-2:] == ["do", "undo"]
    assert connected.query("") == "blocks"


def test_undoing_leaves_a_reloaded_library_as_the_reload_made_it() -> None:
    made, _ = registry_of(patch(WAIT, QUERY))
    made.apply()
    thelib: Any = importlib.import_module("thelib")
    importlib.reload(thelib)
    made.undo()
    after, methods = dict(vars(thelib)), dict(vars(thelib.Connection))
    made.apply()
    made.undo()
    assert list(vars(thelib).items()) == list(after.items())
    assert list(vars(thelib.Connection).items()) == list(methods.items())
    assert thelib.wait.__module__ == thelib.Connection.query.__module__ == "thelib"


def test_one_that_does_not_fit_any_more_is_reported_and_one_that_fits_again_is_patched(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_version(monkeypatch, "99")
    made, lines = registry_of(patch(WAIT, distribution="the-lib", versions="<2"))
    made.apply()
    importlib.import_module("thelib")
    (library / "thelib.py").write_text("def wait(seconds, *, quiet=False, loud=True): return 'blocks'")
    importlib.invalidate_caches()
    thelib = imported_again()
    assert (thelib.wait(1), made.outcomes["thelib"].state) == ("blocks", "refused")
    assert "takes loud, which its replacement does not" in lines[0]
    (library / "thelib.py").write_text(LIBRARY + "# another size\n")
    importlib.invalidate_caches()
    thelib = imported_again()
    assert (thelib.wait(1), made.outcomes["thelib"].state, made.outcomes["thelib"].problem) == ("yields", "applied", "")
    made.undo()


def test_a_module_of_a_library_may_be_imported_anew(library: Path) -> None:
    """Also with the whole package, whose modules come before it."""
    (library / "thepack").mkdir()
    (library / "thepack" / "__init__.py").write_text("from . import inner\ndef wait(): return 'blocks'\n")
    (library / "thepack" / "inner.py").write_text(LIBRARY)
    inner = Replacement("thepack.inner:wait", "thepatch:wait")
    made, lines = registry_of(
        Patch(
            "thepack", "it blocks", (inner, Replacement("thepack:wait", "thepatch:wrap", wraps=True)), module="thepack"
        )
    )
    (library / "thepatch.py").write_text("def wait(*a): return 'yields'\ndef wrap(original): return wait\n")
    made.apply()
    try:
        package: Any = importlib.import_module("thepack")
        assert importlib.reload(package.inner).wait(1) == "yields"
        del sys.modules["thepack.inner"]
        assert importlib.import_module("thepack.inner").wait(1) == "yields"
        del sys.modules["thepack.inner"], sys.modules["thepack"]
        package = importlib.import_module("thepack")
        assert (package.wait(), package.inner.wait(1), lines) == ("yields", "yields", [])
        made.undo()
        assert (package.wait(), package.inner.wait(1)) == ("blocks", "blocks")
    finally:
        for name in ("thepack", "thepack.inner"):
            sys.modules.pop(name, None)


def test_a_private_copy_of_a_module_is_none_of_the_library() -> None:
    made, _ = registry_of(patch(WAIT))
    made.apply()
    spec = importlib.util.find_spec("thelib")
    assert spec is not None
    assert spec.loader is not None
    copy: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    assert copy.wait(1) == "blocks"
    assert "thelib" not in sys.modules
    assert made.outcomes["thelib"].state == "waiting"


def test_modules_of_the_interpreter_itself_that_are_reloaded(library: Path) -> None:
    """One that is frozen, and one that is built in; in a process of its own."""
    script = """
import importlib, json, os, posix, sys
import hublet
from hublet.patches.patching import REGISTRY
from hublet.patches.replacement import Patch, Replacement
REGISTRY.add(Patch("p", "why", (Replacement("posix:cpu_count", "builtins:len"),), module="posix"))
loaders = [os.__loader__, posix.__spec__.loader]
hublet.patch_all()
ours = [each.__module__ for each in (os.read, posix.cpu_count)]
importlib.reload(os)
importlib.reload(posix)
again = [each.__module__ for each in (os.read, posix.cpu_count)]
states = [REGISTRY.outcomes[name].state for name in ("os-descriptors", "p")]
same = [os.__loader__, posix.__spec__.loader] == loaders
REGISTRY.undo()
print(json.dumps([ours, again, states, same, [each.__module__ for each in (os.read, posix.cpu_count)]]))
"""
    ours, again, states, same, undone = run_python(library, script)
    assert ours == again == ["hublet.patches.libraries.descriptors", "builtins"]
    assert (states, same, undone) == (["applied", "applied"], True, ["posix", "posix"])


def test_after_undoing_imports_are_not_watched() -> None:
    made, _ = registry_of(patch(WAIT))
    path = list(sys.meta_path)
    made.apply()
    made.undo()
    assert sys.meta_path == path
    thelib: Any = importlib.import_module("thelib")
    assert thelib.wait(1) == "blocks"


def test_the_module_keeps_its_own_loader_and_spec() -> None:
    made, _ = registry_of(patch(WAIT))
    made.apply()
    thelib: Any = importlib.import_module("thelib")
    assert type(thelib.__spec__.loader).__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(thelib.__spec__.loader)
    assert thelib.__loader__ is thelib.__spec__.loader
    importlib.reload(thelib)
    made.undo()


def test_a_module_that_was_only_looked_for_gets_its_patch_when_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All modules of a zip file have one loader."""
    archive = tmp_path / "modules.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped.py", LIBRARY)
        file.writestr("zipped_too.py", "")
    monkeypatch.syspath_prepend(archive)
    imported: list[str] = []
    hook = ImportHook({"zipped"}, imported.append)
    hook.install()
    try:
        assert importlib.util.find_spec("zipped")
        importlib.import_module("zipped_too")
        assert imported == []
        importlib.import_module("zipped")
        assert imported == ["zipped"]
    finally:
        for name in ("zipped", "zipped_too"):
            sys.modules.pop(name, None)


def test_a_loader_without_attributes_of_its_own_is_left_alone() -> None:
    class Loader:
        __slots__ = ()

        def create_module(self, spec: ModuleSpec) -> None: ...

        def exec_module(self, module: ModuleType) -> None:
            vars(module)["made"] = True

    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
            return ModuleSpec(name, cast("Any", Loader())) if name == "thelib" else None

    made, _ = registry_of(patch(WAIT))
    sys.meta_path.insert(0, Finder())
    made.apply()
    assert importlib.import_module("thelib").made


def test_a_library_that_fails_to_import_fails_as_before(library: Path) -> None:
    (library / "thelib.py").write_text("import no_such_module")
    made, lines = registry_of(patch(WAIT))
    made.apply()
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        importlib.import_module("thelib")
    assert made.outcomes["thelib"].state == "waiting"
    (library / "thelib.py").write_text(LIBRARY + "\n# and now it is whole")
    importlib.invalidate_caches()
    thelib: Any = importlib.import_module("thelib")
    assert (thelib.wait(1), lines) == ("yields", [])


@pytest.mark.parametrize(
    "version, applied", [("1.9", True), ("2.0", True), ("2.0rc1", True), ("3.0", False), ("", False)]
)
def test_versions(monkeypatch: pytest.MonkeyPatch, version: str, applied: bool) -> None:
    """Within the tested range nothing is asked; beyond it the structure decides: a parameter is lacking here."""
    of_version(monkeypatch, version)
    made, lines = registry_of(
        patch(QUERY, Replacement("thelib:wait", "thepatch:old_wait"), distribution="the-lib", versions=">=1.9,<3")
    )
    made.apply()
    thelib: Any = importlib.import_module("thelib")
    assert made.outcomes["thelib"].state == ("applied" if applied else "refused")
    assert thelib.Connection().query("") == ("yields" if applied else "blocks")  # never a half
    if not applied:
        assert "takes quiet, which its replacement does not" in lines[0]
        assert "the-lib" in lines[0]
        assert ">=1.9,<3" in lines[0]


def test_an_unknown_version_of_the_same_structure_is_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    of_version(monkeypatch, "99")
    made, lines = registry_of(patch(WAIT, QUERY, distribution="the-lib", versions="<2"))
    made.apply()
    thelib: Any = importlib.import_module("thelib")
    assert (thelib.wait(1), lines) == ("yields", [])


@pytest.mark.parametrize(
    "replacement, problem",
    [
        (Replacement("thelib:gone", "thepatch:wait"), "gone"),
        (Replacement("thelib:Connection.gone", "thepatch:wait"), "gone"),
        (Replacement("thelib:Connection.__init__", "thepatch:wait"), "is inherited"),
        (Replacement("thelib:Connection", "thepatch:wait"), "thelib:Connection is type, not function"),
    ],
)
def test_what_does_not_fit_is_left_alone_and_reported(
    monkeypatch: pytest.MonkeyPatch, replacement: Replacement, problem: str
) -> None:
    of_version(monkeypatch, "99")
    made, lines = registry_of(patch(QUERY, replacement, distribution="the-lib", versions="<2"))
    made.apply()
    thelib: Any = importlib.import_module("thelib")
    assert made.outcomes["thelib"].state == "refused"
    assert problem in made.outcomes["thelib"].problem
    assert len(lines) == 1
    assert thelib.Connection().query("") == "blocks"


def test_a_step_that_fails_takes_everything_back() -> None:
    steps = (Step("thepatch:do", "thepatch:undo"), Step("thepatch:fail", "thepatch:undo"))
    made, lines = registry_of(patch(WAIT, steps=steps))
    made.apply()
    thelib: Any = importlib.import_module("thelib")
    assert (thelib.wait(1), thelib.CALLS) == ("blocks", ["do", "undo"])
    assert "RuntimeError: no" in lines[0]


def test_names_choose() -> None:
    made, _ = registry_of(patch(WAIT, optional=True), Patch("other", "why", (QUERY,), module="thelib"))
    with pytest.raises(UnknownPatch, match="there is no patch 'thelob'; there are other, thelib"):
        made.apply(["thelob"])
    made.apply(unwanted=["other"])
    thelib: Any = importlib.import_module("thelib")
    assert [each.state for each in made.outcomes.values()] == ["off", "off"]
    made.apply(wanted=["thelib"])
    assert (thelib.wait(1), thelib.Connection().query("")) == ("yields", "blocks")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="two patches named 'thelib'"):
        registry_of(patch(WAIT), patch(QUERY))


def test_what_is_only_known_has_a_version_once_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    of_version(monkeypatch, "4.2")
    made, _ = registry_of(patch(effect="blocks"))
    made.apply()
    assert (made.outcomes["thelib"].state, made.outcomes["thelib"].version) == ("known", "")
    importlib.import_module("thelib")
    assert (made.outcomes["thelib"].state, made.outcomes["thelib"].version) == ("known", "4.2")


def test_installed_packages_offer_patches(library: Path) -> None:
    (library / "offers.py").write_text(
        "from hublet.patches.replacement import Patch\nONE = Patch('a', 'why')\nMANY = (Patch('b', 'why'),)\n"
    )
    metadata = library / "offers-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[hublet.patches]\none = offers:ONE\nmany = offers:MANY\n")
    assert {"a", "b"} <= {each.name for each in registry.third_party_patches()}
