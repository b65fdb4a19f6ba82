"""Notices from outside when the hub is blocked: for how long, and by which line of source.

A native thread wakes every WATCH_INTERVAL. If the hub's own frame is on top of its thread, the hub waits for events and
is idle. Otherwise the loop's clock, which stands still while anything runs, tells since when the hub has not turned. At
the threshold the thread records where the hub's thread is, again at each further wake-up, and sends an async watcher
that the hub calls first of all when it turns again: that is the block's exact end. Neither reading costs the hub
anything, and nothing else happens on it.

What cannot be seen: compiled code that a watcher's callback runs directly counts as idle, since it has no frame. And
many short turns of many greenlets within one turn of the loop make a block of their sum, named after the most frequent.
"""

from __future__ import annotations

import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType, TracebackType
from typing import Any, Final, NamedTuple, Self

from gevent import get_hub, monkey
from gevent.hub import Hub

from .histogram import Histogram
from .limits import BLOCK_THRESHOLD, WATCH_INTERVAL, WATCHED_DEPTH, WATCHED_LINES

start_new_thread: Callable[..., int] = monkey.get_original("_thread", "start_new_thread")
allocate_lock: Callable[[], Any] = monkey.get_original("_thread", "allocate_lock")

INSTALLED: Final = ("/site-packages/", "/dist-packages/")
STANDARD_LIBRARY: Final = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib")} | {"<frozen "})
RUNTIMES: Final = ("hublet", "gevent", "greenlet")
# How far from the application code is: the innermost line of the nearest kind is blamed.
APPLICATION, LIBRARY, STANDARD, RUNTIME = range(4)


class SourceLine(NamedTuple):
    """A place in a program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(frozen=True, slots=True)
class Block:
    """One time that the hub did not turn: `seconds` long, `began` at a time of the system clock.

    `line` is the application's innermost line, `stack` the whole stack, innermost first, that was seen first on it.
    """

    line: SourceLine
    began: float
    seconds: float
    stack: tuple[SourceLine, ...]


@dataclass(slots=True)
class Blocker:
    """A line that blocked the hub `count` times, `total` and at most `longest` seconds; `stack` is of the longest."""

    line: SourceLine
    count: int
    total: float
    longest: float
    stack: tuple[SourceLine, ...]

    def add(self, block: Block) -> None:
        """Count one more block."""
        self.count += 1
        self.total += block.seconds
        if block.seconds > self.longest:
            self.longest, self.stack = block.seconds, block.stack


OTHER_LINES: Final = SourceLine("(other lines)", 0, "(any)")


class Unfinished:
    """A block that has not ended: when it began, and how often each line was seen."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.lines: Counter[SourceLine] = Counter()
        self.stacks: dict[SourceLine, tuple[SourceLine, ...]] = {}

    def see(self, stack: tuple[SourceLine, ...], line: SourceLine) -> None:
        """The hub's thread is there."""
        self.lines[line] += 1
        self.stacks.setdefault(line, stack)

    def end(self, now: float) -> Block:
        """The hub turns again."""
        line = self.lines.most_common(1)[0][0]
        return Block(line, self.began, now - self.began, self.stacks[line])


class HubWatch:
    """Watches the hub of the thread that starts it, from `start` to `stop`; also a context manager.

    Blocks of `threshold` seconds and more are recorded. `on_block` is called with each, in the hub once it turns again:
    it must not wait. What `blocks` and `lag` return may be read at any time, from any thread.
    """

    def __init__(
        self,
        threshold: float = BLOCK_THRESHOLD,
        interval: float = WATCH_INTERVAL,
        on_block: Callable[[Block], object] | None = None,
    ) -> None:
        if not 0 < interval <= threshold:
            raise ValueError(f"threshold = {threshold:g}: must be at least the interval, {interval:g} s, which is > 0")
        self._threshold = threshold
        self._interval = interval
        self._on_block = on_block
        self._blockers: dict[SourceLine, Blocker] = {}
        self._lag = Histogram()
        self._unfinished: Unfinished | None = None
        self._ended: Any = None
        self._stopping: Any = None

    def start(self) -> None:
        """Begin to watch the hub of this thread. Raises RuntimeError if that has been done."""
        if self._ended is not None:
            raise RuntimeError("this watch has been started already: stop it first, or make another one")
        hub = get_hub()
        # Before whatever else waits for the hub, so that the end of a block is its end.
        self._ended = hub.loop.async_(ref=False, priority=hub.loop.MAXPRI)
        self._ended.start(self._on_turn)
        self._stopping = allocate_lock()
        self._stopping.acquire()
        start_new_thread(self._watch, (hub, self._ended, self._stopping))

    def stop(self) -> None:
        """End the watch, in the thread that has started it. What was recorded stays. Nothing happens if stopped."""
        if self._ended is not None:
            self._stopping.release()
            self._ended.stop()
            self._ended.close()
            self._ended = self._unfinished = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def blocks(self) -> list[Blocker]:
        """The lines that blocked the hub, those first that did so for the longest time in all."""
        blockers = [
            Blocker(each.line, each.count, each.total, each.longest, each.stack)
            for each in list(self._blockers.values())
        ]
        return sorted(blockers, key=lambda each: each.total, reverse=True)

    def lag(self) -> Histogram:
        """How long the hub had not turned, as often as it was looked at: 0 where it was idle.

        An event comes at any time, so this is also the distribution of how long one waits until the hub attends to it.
        """
        return self._lag.copy()

    # On the hub.

    def _on_turn(self) -> None:
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is None:
            return
        block = unfinished.end(get_hub().loop.now())
        place = block.line if block.line in self._blockers or len(self._blockers) < WATCHED_LINES else OTHER_LINES
        blocker = self._blockers.get(place)
        if blocker is None:
            self._blockers[place] = Blocker(place, 1, block.seconds, block.seconds, block.stack)
        else:
            blocker.add(block)
        if self._on_block is not None:
            self._on_block(block)

    # In the native thread.

    def _watch(self, hub: Any, ended: Any, stopping: Any) -> None:
        thread, idle = hub.thread_ident, idle_code(hub)
        while not stopping.acquire(timeout=self._interval):
            turned = hub.loop.now()
            frame = sys._current_frames().get(thread)
            late = 0.0 if frame is None or frame.f_code is idle else max(time.time() - turned, 0.0)
            self._lag.add(late)
            if frame is not None and late >= self._threshold:
                stack = stack_of(frame)
                # Otherwise the hub has turned meanwhile, and the stack is that of something else.
                if hub.loop.now() == turned:
                    self._see(stack, turned, ended, stopping)
            frame = None  # it would keep alive what the application has in it

    def _see(self, stack: list[FramePlace], turned: float, ended: Any, stopping: Any) -> None:
        unfinished = self._unfinished
        places = tuple(SourceLine(each.code.co_filename, each.line, each.code.co_qualname) for each in stack)
        if unfinished is not None and unfinished.began == turned:
            unfinished.see(places, blamed(stack, places))
        elif unfinished is None and stopping.locked():
            unfinished = Unfinished(turned)
            unfinished.see(places, blamed(stack, places))
            self._unfinished = unfinished
            ended.send()


class FramePlace(NamedTuple):
    """Where one frame is. A frame itself would keep its variables alive."""

    code: CodeType
    line: int
    module: str


def idle_code(hub: Any) -> CodeType:
    """The code of the frame that is on top while the hub waits for events."""
    run = getattr(type(hub), "run", Hub.run)
    code: CodeType = run.__code__
    return code


def stack_of(frame: FrameType | None) -> list[FramePlace]:
    """The places of a frame and its callers, innermost first, WATCHED_DEPTH at the most."""
    stack: list[FramePlace] = []
    while frame is not None and len(stack) < WATCHED_DEPTH:
        stack.append(FramePlace(frame.f_code, frame.f_lineno or 0, frame.f_globals.get("__name__") or ""))
        frame = frame.f_back
    return stack


def blamed(stack: list[FramePlace], places: tuple[SourceLine, ...]) -> SourceLine:
    """The innermost place of the application; without one, of a library, then of the standard library."""
    kinds = [kind_of(each) for each in stack]
    return places[kinds.index(min(kinds))]


def kind_of(place: FramePlace) -> int:
    """How far a frame is from the application's own code."""
    if place.module.partition(".")[0] in RUNTIMES:
        return RUNTIME
    file = place.code.co_filename
    if any(part in file for part in INSTALLED):
        return LIBRARY
    return STANDARD if file.startswith(STANDARD_LIBRARY) else APPLICATION
