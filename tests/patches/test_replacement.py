"""Patches as data: what applying replaces, undoing restores, and nothing else changes."""

from __future__ import annotations

import sys
import types
from importlib import import_module
from typing import Any

import geventwebsocket
import geventwebsocket.handler
import geventwebsocket.resource
import geventwebsocket.server
import pytest
from geventwebsocket.resource import WebSocketApplication
from hublet.patches import replacement
from hublet.patches.gevent_websocket import CALLBACK_STYLE, SERVERS
from hublet.patches.replacement import Patch, Replacement

PLACES: list[Any] = [
    geventwebsocket,
    geventwebsocket.handler,
    geventwebsocket.resource,
    geventwebsocket.server,
    WebSocketApplication,
]


def contents() -> list[dict[str, Any]]:
    """Every name in the modules and the class that the patches change, in order."""
    return [dict(vars(place)) for place in PLACES]


@pytest.fixture(autouse=True)
def as_it_was() -> Any:
    """Leave the patch that servers apply in the state in which it was."""
    applied = CALLBACK_STYLE.is_applied
    CALLBACK_STYLE.undo()
    yield
    CALLBACK_STYLE.undo()
    if applied:
        CALLBACK_STYLE.apply()


@pytest.mark.parametrize("patch", [CALLBACK_STYLE, SERVERS], ids=lambda patch: patch.name)
@pytest.mark.parametrize("times", [1, 3])
def test_undoing_leaves_the_modules_identical(patch: Patch, times: int) -> None:
    import_module("hublet.servers.gevent_websocket")
    before = contents()
    assert not patch.is_applied
    for _ in range(times):
        patch.apply()
    assert patch.is_applied
    changed = {
        (number, name)
        for number, each in enumerate(contents())
        for name in each
        if each[name] is not before[number][name]
    }
    assert len(changed) == len(patch.replacements)
    for _ in range(times):
        patch.undo()
    assert not patch.is_applied
    after = contents()
    assert [list(each) for each in after] == [list(each) for each in before]
    assert all(after[number][name] is each[name] for number, each in enumerate(before) for name in each)


def test_every_replacement_is_in_place() -> None:
    for patch in (CALLBACK_STYLE, SERVERS):
        patch.apply()
        for each in patch.replacements:
            holder, name = replacement.holder_and_name(each.target)
            assert vars(holder)[name] is replacement.resolved(each.by)
        patch.undo()


@pytest.fixture
def victim(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with a class, a function and a static method."""
    module = types.ModuleType("victim")

    class Base:
        inherited = 0

    class Victim(Base):
        @staticmethod
        def method() -> str:
            return "original"

    module.__dict__.update(Victim=Victim, function=len)
    monkeypatch.setitem(sys.modules, "victim", module)
    return module


def test_what_is_stored_comes_back_and_not_what_it_looks_like(victim: Any) -> None:
    """A static method stays one."""
    before = vars(victim.Victim)["method"]
    patch = Patch(
        "p",
        "why",
        (Replacement("victim:Victim.method", "builtins:len"), Replacement("victim:function", "builtins:abs")),
    )
    patch.apply()
    assert (victim.Victim.method, victim.function) == (len, abs)
    patch.undo()
    assert vars(victim.Victim)["method"] is before
    assert victim.Victim.method() == "original"
    assert victim.function is len


@pytest.mark.parametrize(
    "replacement, error",
    [
        (Replacement("no_such_module:x", "builtins:len"), ImportError),
        (Replacement("victim:x", "builtins:len"), AttributeError),
        (Replacement("victim:Victim.x", "builtins:len"), AttributeError),
        (Replacement("victim:Victim.inherited", "builtins:len"), AttributeError),
        (Replacement("victim:Nobody.x", "builtins:len"), AttributeError),
        (Replacement("victim:function", "builtins:no_such_name"), AttributeError),
        (Replacement("victim:function", "no_such_module:x"), ImportError),
    ],
    ids=repr,
)
def test_one_that_cannot_be_applied_changes_nothing(
    victim: Any, replacement: Replacement, error: type[Exception]
) -> None:
    patch = Patch("p", "why", (Replacement("victim:Victim.method", "builtins:len"), replacement))
    with pytest.raises(error):
        patch.apply()
    assert not patch.is_applied
    assert victim.Victim.method() == "original"
    assert victim.function is len
