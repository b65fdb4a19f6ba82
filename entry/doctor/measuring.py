"""Measures whether an operation yields: one alone, then many at once, and the longest time that the hub stood still."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import gevent

from ..runtime.hub_watch import HubWatch
from ..runtime.limits import WATCH_INTERVAL
from .findings import Measured

OPERATIONS: Final = 20
#: How long an operation of a probe takes on the other side, in seconds: long beside everything else in it.
LENGTH: Final = 0.2
PATIENCE: Final = 60.0  # seconds; for connecting, for one operation and for those at once: what takes longer hangs
#: Of its time, a waiting operation may stop the hub for this part and still count as cooperative.
MOST_STALL: Final = 0.5


@dataclass(frozen=True, slots=True)
class Probe:
    """An operation to measure. `open` returns what it works on, for each one its own; `close` ends that."""

    name: str
    operate: Callable[[Any], object]
    open: Callable[[], Any] = lambda: None
    close: Callable[[Any], object] = lambda _: None


def measure(probe: Probe, count: int = OPERATIONS) -> Measured:
    """Make one operation, then `count` at once, in this thread's hub. What they raise becomes the result's problem.

    It blocks if one alone stops the hub for most of its time, or if `count` take longer than the square root of `count`
    times one: halfway, as factors go, between all at once and one after the other.
    """
    opened: list[Any] = []
    one = together = Span(0.0, 0.0)
    try:
        with gevent.Timeout(PATIENCE, TimeoutError(f"not connected after {PATIENCE:g} s")):
            for _ in range(count):
                opened.append(probe.open())
        with gevent.Timeout(PATIENCE):
            one = watched(lambda: probe.operate(opened[0]))
        together = watched(lambda: all_at_once(probe, opened))
    except Exception as error:
        return Measured(probe.name, one.seconds, count, together.seconds, 0.0, "failed", one_line(error))
    except gevent.Timeout:
        problem = f"it hangs: not done after {PATIENCE:g} s"
        return Measured(probe.name, one.seconds, count, PATIENCE, 0.0, "blocks", problem)
    finally:
        for each in opened:
            try:
                probe.close(each)
            except Exception:  # noqa: S110 - the operation's own error is the one to tell
                pass
    in_turn = count > 1 and together.seconds > math.sqrt(count) * one.seconds  # a pool may have one connection only
    blocks = one.stall > MOST_STALL * one.seconds or in_turn
    stall = max(one.stall, together.stall)
    return Measured(probe.name, one.seconds, count, together.seconds, stall, "blocks" if blocks else "cooperative")


class Span(NamedTuple):
    """How long something took, and for how long at a time the hub stood still meanwhile, in seconds."""

    seconds: float
    stall: float


def watched(function: Callable[[], object]) -> Span:
    """Call a function, and watch this thread's hub meanwhile."""
    with HubWatch() as watch:
        gevent.sleep(2 * WATCH_INTERVAL)  # what was done before must not be counted
        begin = time.perf_counter()
        function()
        seconds = time.perf_counter() - begin
        gevent.sleep(2 * WATCH_INTERVAL)  # the hub turns, and the last block has an end
    return Span(seconds, max((each.longest for each in watch.blocks()), default=0.0))


def all_at_once(probe: Probe, opened: Sequence[Any]) -> None:
    """Operate on each in a greenlet of its own. Raises the first error, or gevent.Timeout."""
    greenlets = [gevent.spawn(probe.operate, each) for each in opened]
    try:
        with gevent.Timeout(PATIENCE):
            gevent.joinall(greenlets)
    finally:
        gevent.killall(greenlets, block=False)
    for each in greenlets:
        each.get(block=False)


def one_line(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
