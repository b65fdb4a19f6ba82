"""The watch on the hub: every kind of block is seen, with its line and its length, and an idle hub reports nothing."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import threading
import time
from collections.abc import Callable

import gevent
import pytest
from gevent import get_hub, monkey
from hublet.runtime import hub_watch, limits
from hublet.runtime.hub_watch import OTHER_LINES, Block, HubWatch

from tests.conftest import active_watchers, wait_until

native_sleep = monkey.get_original("time", "sleep")
LONG = 0.06  # seconds: well over the threshold
SLACK = 0.005
TRIES = 20
JSON = list(range(600_000))


def pbkdf2() -> None:
    hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 150_000)


def busy_loop() -> None:
    end = time.perf_counter() + LONG
    while time.perf_counter() < end: pass  # fmt: skip # noqa: E701


def sleeping() -> None:
    native_sleep(LONG)


def native_sleep_in_hub() -> None:
    native_sleep(LONG)


def encoding() -> None:
    json.dumps(JSON)


BLOCKING = {"pbkdf2": "pbkdf2_hmac", "busy_loop": "while", "sleeping": "native_sleep", "encoding": "json.dumps"}


def blocked(work: Callable[[], None], watch: HubWatch) -> list[Block]:
    """Let a greenlet block the hub; return what was seen of that, the last one with the length that it really had.

    More often than once where a busy machine withholds the processor from the watch or from the hub.
    """
    seen: list[Block] = []
    watch._on_block = seen.append

    def block() -> float:
        gevent.sleep(0.001)  # begin in a fresh turn of the loop
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    for _ in range(TRIES):
        known = len(seen)
        seconds = gevent.spawn(block).get()
        gevent.sleep(0.001)
        if len(seen) > known and seen[-1].seconds == pytest.approx(seconds, abs=SLACK):
            return seen
    raise AssertionError(f"the last block of {seconds} s was not seen: {seen}")


@pytest.mark.parametrize("work", [pbkdf2, busy_loop, sleeping, encoding])
def test_a_block_is_seen_with_its_line_and_length(work: Callable[[], None]) -> None:
    with HubWatch() as watch:
        block = blocked(work, watch)[-1]
    assert block.line.file == __file__
    assert block.line.function == work.__name__
    lines, first = inspect.getsourcelines(work)
    assert BLOCKING[work.__name__] in lines[block.line.line - first]
    assert block.began == pytest.approx(time.time() - block.seconds, abs=1)
    assert block.line in block.stack
    assert block.line in [each.line for each in watch.blocks()]


def test_the_line_is_the_one_that_blocks() -> None:
    def work() -> None:
        time.perf_counter()
        native_sleep(LONG)
        time.perf_counter()

    with HubWatch() as watch:
        block = blocked(work, watch)[-1]
    lines, first = inspect.getsourcelines(work)
    assert lines[block.line.line - first].strip() == "native_sleep(LONG)"


def test_a_library_is_not_blamed_for_its_caller() -> None:
    """The standard library's encoder is innermost: it iterates in Python where indent is given."""

    def work() -> None:
        json.dumps(JSON, indent=1)

    with HubWatch() as watch:
        block = blocked(work, watch)[-1]
    assert block.line.file == __file__
    assert "json" in block.stack[0].file


def test_a_block_in_a_callback_of_the_hub_is_seen() -> None:
    with HubWatch() as watch:
        gevent.sleep(0.001)
        while not watch.blocks():
            get_hub().loop.run_callback(native_sleep_in_hub)
            gevent.sleep(0.001)
    assert watch.blocks()[0].line.function == "native_sleep_in_hub"


def test_blocks_of_a_line_are_summed_up() -> None:
    with HubWatch() as watch:
        long = [block for _ in range(3) for block in blocked(sleeping, watch)]
        blocked(busy_loop, watch)
    first, second = watch.blocks()
    assert (first.line.function, first.count) == ("sleeping", len(long))
    assert first.total == pytest.approx(sum(each.seconds for each in long))
    assert first.longest == max(each.seconds for each in long)
    assert second.line.function == "busy_loop"


def test_an_idle_hub_reports_nothing() -> None:
    with HubWatch(threshold=0.1) as watch:
        wait_until(lambda: watch.lag().total >= 25)
        gevent.sleep(0.3)  # the loop's clock stands still, and nothing is late
    assert watch.blocks() == []
    assert watch.lag().percentile(0.5) == 0.0


def test_lag_is_the_time_in_which_the_hub_does_not_turn() -> None:
    with HubWatch() as watch:
        before = watch.lag()
        wait_until(lambda: watch.lag().total > before.total)
        native_sleep(10 * LONG)
        gevent.sleep(0.001)
    assert watch.lag().percentile(1) > 5 * LONG
    assert watch.lag().percentile(0.01) < LONG


def test_short_work_is_not_a_block() -> None:
    with HubWatch(threshold=0.5) as watch:
        native_sleep(0.1)
        gevent.sleep(0.02)
    assert watch.blocks() == []


def test_nothing_is_left_behind() -> None:
    """Of its own: threads of tests before may end meanwhile."""
    before = len(active_watchers())
    watch = HubWatch()
    others = native_threads()
    watch.start()
    (thread,) = native_threads() - others
    watch.stop()
    watch.stop()
    wait_until(lambda: thread not in native_threads())
    assert len(active_watchers()) == before
    watch.start()  # it may begin anew
    watch.stop()
    wait_until(lambda: native_threads() <= others)


def native_threads() -> set[str]:
    """The ids of this process's."""
    return set(os.listdir("/proc/self/task"))


def test_it_cannot_be_started_twice() -> None:
    with HubWatch() as watch, pytest.raises(RuntimeError, match="started already: stop it first"):
        watch.start()


@pytest.mark.parametrize("threshold, interval", [(0.01, 0.02), (0.0, 0.0), (1.0, 0.0)])
def test_a_threshold_below_the_interval_is_refused(threshold: float, interval: float) -> None:
    with pytest.raises(ValueError, match="must be at least the interval"):
        HubWatch(threshold, interval)


@pytest.mark.parametrize("most, named", [(1, 1), (2, 2), (3, 2)])
def test_only_so_many_lines_have_names(most: int, named: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_watch, "WATCHED_LINES", most)
    with HubWatch() as watch:
        blocked(sleeping, watch)
        blocked(busy_loop, watch)
    lines = [each.line for each in watch.blocks()]
    assert len(lines) == 2
    assert len([each for each in lines if each != OTHER_LINES]) == named


@pytest.mark.parametrize("calls", [limits.WATCHED_DEPTH - 1, limits.WATCHED_DEPTH, limits.WATCHED_DEPTH + 1])
def test_deep_stacks_are_cut_off(calls: int) -> None:
    def recurse(left: int) -> None:
        if left > 1:
            recurse(left - 1)
        else:
            native_sleep(LONG)

    seen: list[Block] = []
    with HubWatch(on_block=seen.append):
        while not seen:
            gevent.sleep(0.001)
            gevent.spawn(recurse, calls).join()
    assert len(seen[0].stack) == min(calls, limits.WATCHED_DEPTH)


def test_other_threads_are_not_the_hub() -> None:
    thread = threading.Thread(target=native_sleep, args=(LONG,))
    with HubWatch() as watch:
        thread.start()
        while thread.is_alive():
            gevent.sleep(0.005)
    assert not any("threading" in place.file for each in watch.blocks() for place in each.stack)
