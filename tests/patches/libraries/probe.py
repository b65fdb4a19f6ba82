"""Runs a library's checks in a process that is patched first, and measures whether operations yield.

A module of checks has functions named `check_...`, each of which takes the servers' addresses and raises if the library
does not behave. `run_checks` runs them all in one child process, where `hublet.patch_all()` comes before every other
import, and returns what went wrong with each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

from loadtests.bench.libraries.ticker import measured

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[3]
AT_ONCE = 20
LONGEST_STALL = 0.050  # seconds
ATTEMPTS = 6  # a loaded machine may stop a process for longer than that, but not each time
PATIENCE = 120.0

CHECK_PATIENCE = 30.0  # of one check, which hangs if it takes longer

CHILD = """if True:
    import importlib, json, sys, traceback
    import hublet
    module, early, only, arguments, addresses = json.loads(sys.argv[1])
    if early:
        importlib.import_module(early)
    problems = hublet.patch_all()
    assert early or not problems, problems
    import gevent
    checks = importlib.import_module(module)
    def problem_of(check):
        try:
            with gevent.Timeout(%s, AssertionError("it hangs")):
                check(*arguments, **addresses)
        except BaseException:
            return traceback.format_exc()
        return ""
    chosen = [each for each in vars(checks).items() if each[0].startswith("check_") and (not only or each[0] in only)]
    print(json.dumps({name: gevent.spawn(problem_of, check).get() for name, check in chosen}))
"""


def run_checks(
    module: str, *arguments: str, early: str = "", only: Sequence[str] = (), **addresses: Any
) -> dict[str, str]:
    """Run the checks of a module of this package; return the traceback of each by name, empty where all is well.

    `early` is imported before the patching; `only` names the checks to run.
    """
    what = json.dumps([f"{__package__}.{module}", early, only, arguments, addresses])
    command = [sys.executable, "-X", "faulthandler", "-c", CHILD % CHECK_PATIENCE, what]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert found, f"{module} has no checks"
    return found


def assert_checks(subtests: pytest.Subtests, found: dict[str, str]) -> None:
    """Fail for each check that did."""
    for name, problem in found.items():
        with subtests.test(name):
            assert problem == ""


def assert_yields(operation: Callable[[], Any], stall: float = LONGEST_STALL) -> list[Any]:
    """Assert that twenty of an operation take less than two do, and that the hub turns meanwhile. Returns results."""
    for _ in range(ATTEMPTS):
        with measured() as one:
            operation()
        with measured() as many:
            tasks = [gevent.spawn(operation) for _ in range(AT_ONCE)]
            gevent.joinall(tasks, raise_error=True, timeout=PATIENCE / 4)
        assert all(each.successful() for each in tasks), "they hang"
        assert one.elapsed > 0.1, "the operation is over too soon to tell"
        if many.elapsed < 2 * one.elapsed and max(one.stall, many.stall) < stall:
            return [each.value for each in tasks]
    raise AssertionError(f"{ATTEMPTS} times; at last one {one}, {AT_ONCE} of them {many}")


def assert_raises(
    kind: type[BaseException] | tuple[type[BaseException], ...], operation: Callable[[], object]
) -> BaseException:
    """Assert that an operation raises this; return it."""
    try:
        operation()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was not raised")


def assert_no_stall(operation: Callable[[], object], seconds: float = 0.1) -> None:
    """Assert that the hub goes on while an operation runs, in one of some attempts."""
    seen = []
    for _ in range(ATTEMPTS):
        with measured() as measure:
            operation()
        if measure.stall < seconds:
            return
        seen.append(f"{measure.stall * 1000:.0f}")
    raise AssertionError(f"the hub stalls for {', '.join(seen)} ms")


@contextmanager
def fails(kind: type[BaseException], text: str = "") -> Iterator[None]:
    """Assert that what is done within raises this, with this text in it."""
    raised = ""
    try:
        yield
    except kind as error:
        raised = repr(error)
    assert raised, f"{kind.__name__} was not raised"
    assert text in raised, f"{raised} does not say {text!r}"


def killed_inside(operation: Callable[[], object], after: float = 0.05) -> float:
    """Kill a greenlet inside an operation; return the seconds until it had ended."""
    victim = gevent.spawn(operation)
    victim.join(after)
    assert not victim.ready(), "the operation was over before it could be killed"
    begun = time.perf_counter()
    victim.kill(timeout=PATIENCE / 4)
    assert victim.dead
    return time.perf_counter() - begun


def assert_ends_when_killed(operation: Callable[[], object], within: float, after: float = 0.05) -> None:
    """Assert that a greenlet killed inside an operation ends within so many seconds, in one of some attempts."""
    seen = []
    for _ in range(ATTEMPTS):
        seen.append(killed_inside(operation, after))
        if seen[-1] < within:
            return
    raise AssertionError(f"it ends {', '.join(f'{each:.3f}' for each in seen)} s after it was killed")


def assert_undone(name: str, *holders: Any) -> None:
    """Assert that taking a patch back leaves what it touches as it was, and that it can be applied again."""
    patching: Any = __import__("hublet.patches.patching", fromlist=["REGISTRY"])
    outcome = patching.REGISTRY.outcomes[name]
    assert outcome.state == "applied", outcome
    patch = outcome.patch
    ours = [dict(vars(each)) for each in holders]
    patch.undo()
    theirs = [dict(vars(each)) for each in holders]
    try:
        assert theirs != ours
        patch.apply()
        assert [dict(vars(each)) for each in holders] != theirs
        patch.undo()
        assert [list(vars(each).items()) for each in holders] == [list(each.items()) for each in theirs]
    finally:
        patch.apply()
