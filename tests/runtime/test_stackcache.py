"""The stack cache: what it keeps and gives back, and that code runs the same while it comes and goes."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator

import pytest
from greenlet import getcurrent, greenlet
from hublet.runtime import stackcache

pytestmark = pytest.mark.skipif(not stackcache.is_supported(), reason="this interpreter has no use for the cache")


@pytest.fixture(autouse=True)
def _without_cache() -> Iterator[None]:
    """Begin and end without the cache; put back what was there."""
    capacity = stackcache.statistics().capacity
    stackcache.uninstall()
    yield
    stackcache.uninstall()
    if capacity:
        stackcache.install(capacity)


def run_at_once(count: int) -> None:
    """Begin `count` greenlets, then end them all."""
    main = getcurrent()
    waiting = [greenlet(lambda: main.switch()) for _ in range(count)]
    for each in waiting:
        each.switch()
    for each in waiting:
        each.switch()


def recurse(depth: int) -> int:
    """Use many frames, and so several chunks."""
    return 0 if depth == 0 else 1 + recurse(depth - 1)


def test_install_and_uninstall() -> None:
    assert stackcache.statistics().installed is False
    assert stackcache.install(4) is True
    assert stackcache.statistics()[:2] == (True, 4)
    assert stackcache.install(9) is True
    assert stackcache.statistics()[:2] == (True, 9)
    stackcache.uninstall()
    assert stackcache.statistics()[:3] == (False, 0, 0)
    stackcache.uninstall()


def test_a_capacity_of_nothing_uninstalls() -> None:
    stackcache.install(4)
    assert stackcache.install(0) is False
    assert stackcache.statistics().installed is False


def test_a_negative_capacity_is_refused() -> None:
    stackcache.install(4)
    with pytest.raises(ValueError, match="-1"):
        stackcache.install(-1)
    assert stackcache.statistics().capacity == 4


def test_greenlets_that_follow_each_other_share_a_chunk() -> None:
    stackcache.install(4)
    run_at_once(1)
    before = stackcache.statistics()
    for _ in range(1000):
        greenlet(lambda: None).switch()
    after = stackcache.statistics()
    assert after.hits - before.hits >= 1000
    assert after.misses == before.misses
    assert after.kept <= 2


@pytest.mark.parametrize("count", [3, 4, 5, 50])
def test_no_more_is_kept_than_the_capacity(count: int) -> None:
    stackcache.install(4)
    run_at_once(count)
    assert stackcache.statistics().kept == min(count, 4)


def test_a_smaller_capacity_gives_chunks_back() -> None:
    stackcache.install(50)
    run_at_once(50)
    assert stackcache.statistics().kept == 50
    stackcache.install(3)
    assert stackcache.statistics().kept == 3
    run_at_once(50)
    assert stackcache.statistics().kept == 3


def test_it_may_come_and_go_while_greenlets_run() -> None:
    main = getcurrent()

    def work() -> None:
        for _ in range(10):
            assert recurse(300) == 300
            main.switch()

    waiting = [greenlet(work) for _ in range(20)]
    for round in range(11):
        for each in waiting:
            each.switch()
        if round % 2:
            stackcache.uninstall()
        else:
            stackcache.install(5)
    assert all(each.dead for each in waiting)


def test_native_threads_share_it() -> None:
    stackcache.install(8)
    results: list[int] = []

    def work() -> None:
        for _ in range(200):
            greenlet(lambda: results.append(recurse(200))).switch()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 800
    assert stackcache.statistics().kept <= 8


def test_an_error_deep_in_a_greenlet_keeps_its_traceback() -> None:
    """The frames of a traceback outlive the chunk that they were on."""
    stackcache.install(4)

    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        raise ValueError(depth)

    caught: list[ValueError] = []

    def catch() -> None:
        try:
            fail(200)
        except ValueError as error:
            caught.append(error)

    for _ in range(20):
        greenlet(catch).switch()
        greenlet(lambda: recurse(100)).switch()  # writes over the chunk
    for error in caught:
        depths = []
        traceback = error.__traceback__
        while traceback is not None:
            depths.append(traceback.tb_frame.f_locals.get("depth"))
            traceback = traceback.tb_next
        assert depths == [None, *range(200, -1, -1)]


class ArenaAllocator(ctypes.Structure):
    """PyObjectArenaAllocator."""

    _fields_ = [("ctx", ctypes.c_void_p), ("alloc", ctypes.c_void_p), ("free", ctypes.c_void_p)]


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="uses CPython's C interface")
def test_an_allocator_installed_on_top_is_not_cut_off() -> None:
    beneath, ours = ArenaAllocator(), ArenaAllocator()
    ctypes.pythonapi.PyObject_GetArenaAllocator(ctypes.byref(beneath))
    stackcache.install(4)
    ctypes.pythonapi.PyObject_GetArenaAllocator(ctypes.byref(ours))
    assert ours.alloc != beneath.alloc
    ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(beneath))
    try:
        assert stackcache.statistics().installed is False
        with pytest.raises(RuntimeError, match="another arena allocator"):
            stackcache.uninstall()
    finally:
        ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(ours))
    stackcache.uninstall()
    assert stackcache.statistics().installed is False
