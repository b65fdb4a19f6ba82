"""Runs a module's checks in a process of their own that has called `hublet.patch_all()`, and measures what yields.

A module of checks has functions named `check_*`. Each runs in a greenlet and takes the arguments of `run_checks`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import gevent
import hublet

ROOT = Path(__file__).parents[3]
PATIENCE = 20.0  # seconds; only a check that hangs waits that long
AT_ONCE = 20
ATTEMPTS = 3
TICK = 0.005
# In terms of one operation, which waits for about 0.2 s: blocking ones would take 20 in all, and stall for at least 1.
ALL_TAKE = 4.0
LONGEST_STALL = 0.5


def run_checks(module: str, *arguments: str, early: str = "", only: str = "") -> dict[str, str]:
    """Run the checks of a module; returns what is wrong for each. `early` is imported before patching."""
    options = [f"--early={early}", f"--only={only}"]
    command = [
        sys.executable,
        "-X",
        "faulthandler",
        "-m",
        "tests.patches.libraries.probe",
        *options,
        module,
        *arguments,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{module} failed: {done.stdout}{done.stderr}"
    outcome: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert outcome, f"{module} has no checks"
    return outcome


def assert_checks(subtests: Any, outcome: dict[str, str]) -> None:
    """Fail for each check that did."""
    for name, problem in outcome.items():
        with subtests.test(name):
            assert not problem, problem


def main() -> None:
    """Patch, then run the checks that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--early", default="")
    parser.add_argument("--only", default="")
    parser.add_argument("module")
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    if options.early:
        import_module(options.early)
    problems = hublet.patch_all()
    module = import_module(options.module)
    outcome = {"patching": "\n".join(problems)} if problems and not options.early else {}
    for name, check in list(vars(module).items()):
        if name.startswith("check_") and (not options.only or name in options.only.split(",")):
            outcome[name] = gevent.spawn(problem_of, check, options.arguments).get()
    print(json.dumps(outcome))


def problem_of(check: Callable[..., None], arguments: list[str]) -> str:
    """Run a check: its traceback if it fails."""
    try:
        with gevent.Timeout(PATIENCE, AssertionError(f"it did not end within {PATIENCE} s")):
            check(*arguments)
    except BaseException:
        return traceback.format_exc()
    return ""


class Stalls:
    """The longest time in which the hub did nothing."""

    longest = 0.0


@contextmanager
def watched() -> Iterator[Stalls]:
    """Measure the hub's longest stall while the context lasts."""
    stalls = Stalls()

    def tick() -> None:
        last = time.perf_counter()
        while True:
            gevent.sleep(TICK)
            now = time.perf_counter()
            stalls.longest = max(stalls.longest, now - last - TICK)
            last = now

    ticker = gevent.spawn(tick)
    gevent.sleep(0)
    try:
        yield stalls
        gevent.sleep(TICK)
    finally:
        ticker.kill()


def assert_yields(operation: Callable[[], Any]) -> list[Any]:
    """Run an operation that waits about 0.2 s elsewhere once, then 20 at once; returns the results.

    A loaded machine has another attempt; what blocks fails in each.
    """
    problem = ""
    for _ in range(ATTEMPTS):
        began = time.perf_counter()
        operation()
        one = time.perf_counter() - began
        assert one > 0.1, f"the operation does not wait: {one:.3f} s"
        began = time.perf_counter()
        with watched() as stalls:
            running = [gevent.spawn(operation) for _ in range(AT_ONCE)]
            results = [each.get() for each in running]
        together = time.perf_counter() - began
        if together < ALL_TAKE * one and stalls.longest < LONGEST_STALL * one:
            return results
        problem += f"{AT_ONCE} at once take {together:.3f} s, one {one:.3f} s; stall {stalls.longest * 1000:.0f} ms\n"
    raise AssertionError(problem)


def assert_no_stall(operation: Callable[[], Any], seconds: float = 0.1) -> None:
    """Run an operation; the hub must go on all the while, in one of some attempts."""
    seen = []
    for _ in range(ATTEMPTS):
        with watched() as stalls:
            operation()
        if stalls.longest < seconds:
            return
        seen.append(stalls.longest)
    raise AssertionError(f"the hub stalls for {', '.join(f'{each * 1000:.0f}' for each in seen)} ms")


@contextmanager
def fails(kind: type[BaseException], text: str = "") -> Iterator[None]:
    """As pytest.raises, which has no place in a process without pytest."""
    raised = ""
    try:
        yield
    except kind as error:
        raised = repr(error)
    assert raised, f"{kind.__name__} was not raised"
    assert text in raised, f"{raised} does not say {text!r}"


if __name__ == "__main__":
    main()
