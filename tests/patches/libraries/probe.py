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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent

ROOT = Path(__file__).parents[3]
AT_ONCE = 20
LONGEST_STALL = 0.050  # seconds
TICK = 0.005
ATTEMPTS = 3  # a loaded machine may stop a process for longer than that, but not each time
PATIENCE = 120.0

CHILD = """if True:
    import hublet
    problems = hublet.patch_all()
    assert not problems, problems
    import importlib, json, sys, traceback
    checks = importlib.import_module(sys.argv[1])
    found = {}
    for name, check in [each for each in vars(checks).items() if each[0].startswith("check_")]:
        try:
            check(**json.loads(sys.argv[2]))
            found[name] = ""
        except BaseException:
            found[name] = traceback.format_exc()
    print(json.dumps(found))
"""


def run_checks(module: str, **addresses: Any) -> dict[str, str]:
    """Run the checks of a module of this package; return the traceback of each by name, empty where all is well."""
    command = [sys.executable, "-c", CHILD, f"tests.patches.libraries.{module}", json.dumps(addresses)]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert found, f"{module} has no checks"
    return found


@dataclass
class Measured:
    """Seconds that operations took, and the longest time for which the hub did not turn."""

    elapsed: float = 0.0
    stall: float = 0.0


@contextmanager
def measured() -> Iterator[Measured]:
    """Measure what is done within."""
    result = Measured()

    def tick() -> None:
        last = time.perf_counter()
        while True:
            gevent.sleep(TICK)
            now = time.perf_counter()
            result.stall, last = max(result.stall, now - last - TICK), now

    ticker = gevent.spawn(tick)
    gevent.sleep(0)
    begun = time.perf_counter()
    try:
        yield result
    finally:
        result.elapsed = time.perf_counter() - begun
        gevent.sleep(2 * TICK)  # the ticker sees a stall that has just ended
        ticker.kill()


def assert_yields(operation: Callable[[], object], stall: float = LONGEST_STALL) -> None:
    """Assert that twenty of an operation take less than two do, and that the hub turns meanwhile."""
    for _ in range(ATTEMPTS):
        with measured() as one:
            operation()
        with measured() as many:
            tasks = [gevent.spawn(operation) for _ in range(AT_ONCE)]
            gevent.joinall(tasks, raise_error=True, timeout=PATIENCE / 4)
        assert all(each.successful() for each in tasks), "they hang"
        assert one.elapsed > 0.1, "the operation is over too soon to tell"
        if many.elapsed < 2 * one.elapsed and max(one.stall, many.stall) < stall:
            return
    raise AssertionError(f"{ATTEMPTS} times; at last one {one}, {AT_ONCE} of them {many}")


def assert_raises(kind: type[BaseException], operation: Callable[[], object]) -> BaseException:
    """Assert that an operation raises this; return it."""
    try:
        operation()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was not raised")


def killed_inside(operation: Callable[[], object], after: float = 0.05) -> float:
    """Kill a greenlet inside an operation; return the seconds until it had ended."""
    victim = gevent.spawn(operation)
    victim.join(after)
    assert not victim.ready(), "the operation was over before it could be killed"
    begun = time.perf_counter()
    victim.kill(timeout=PATIENCE / 4)
    assert victim.dead
    return time.perf_counter() - begun


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


def microseconds(operation: Callable[[], object], count: int = 2000) -> float:
    """What an operation costs, one after the other: the median of five runs."""
    runs = []
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(count // 5):
            operation()
        runs.append((time.perf_counter() - begun) / (count // 5) * 1e6)
    return sorted(runs)[2]
