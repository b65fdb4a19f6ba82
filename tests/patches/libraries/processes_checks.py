"""Checks of pools of processes and threads; `run_checks` runs them in a patched process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from concurrent.futures.thread import ThreadPoolExecutor as Threads
from functools import partial
from multiprocessing import connection, popen_fork, process, synchronize
from typing import Any

import gevent
from gevent.monkey import get_original
from hublet import offload, patch_all

from loadtests.bench.libraries.ticker import measured

from .probe import ATTEMPTS, assert_ends_when_killed, assert_raises, assert_undone, assert_yields

SLOW = 0.2
PROCESSES = 6
CROWDED = 0.1  # seconds for which the hub may stand while the processes want the processor, too
TURNED = list[int]()
native_sleep: Callable[[float], None] = get_original("time", "sleep")
get_ident: Callable[[], int] = get_original("_thread", "get_ident")


def slowly(number: int) -> int:
    time.sleep(SLOW)
    return number * number


def failing() -> None:
    raise LookupError("gone")


def leave() -> None:
    os._exit(3)


def who_turned() -> tuple[set[int], bytes, int]:
    """The processes in which the parent's greenlets have run; and what greenlets and children of our own give."""
    time.sleep(0.05)
    return set(TURNED), subprocess.check_output(["echo", "out"]), gevent.spawn(abs, -7).get()


def assert_at_once(operation: Callable[[], object]) -> None:
    """Assert that as many operations as there are processes take no longer than half of them in a row."""
    for _ in range(ATTEMPTS):
        with measured() as many:
            gevent.joinall([gevent.spawn(operation) for _ in range(PROCESSES)], raise_error=True, timeout=20)
        if many.elapsed < PROCESSES / 2 * SLOW and many.stall < CROWDED:
            return
    raise AssertionError(many)


def check_pools_yield() -> None:
    with multiprocessing.Pool(PROCESSES) as pool:
        pool.map(abs, range(PROCESSES))
        assert_at_once(lambda: pool.apply(slowly, (3,)))
        assert pool.map(slowly, [1, 2, 3]) == [1, 4, 9]
        assert_raises(LookupError, lambda: pool.apply(failing))
        assert list(pool.imap_unordered(abs, [-1])) == [1]
        assert_ends_when_killed(lambda: pool.apply(slowly, (1,)), within=0.1)
        assert pool.apply(bytes, (1_000_000,)) == bytes(1_000_000)  # more than a pipe takes
        pool.close()
        pool.join()


def check_executors_yield() -> None:
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(abs, range(PROCESSES)))
        assert_at_once(lambda: pool.submit(slowly, 3).result())
        assert_raises(LookupError, lambda: pool.submit(failing).result())
        assert_raises(TimeoutError, lambda: pool.submit(slowly, 1).result(timeout=0.01))
        assert_raises(BrokenProcessPool, lambda: pool.submit(leave).result())


def check_processes_that_are_not_forked() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(abs, (-3,)) == 3


def check_a_forked_child_leaves_the_greenlets_of_its_parent() -> None:
    def turn() -> None:
        while True:
            TURNED.append(os.getpid())
            gevent.sleep(0.002)

    handler = signal.signal(signal.SIGTERM, foreign_handler())
    turning = gevent.spawn(turn)
    try:
        gevent.sleep(0.01)
        with multiprocessing.Pool(2) as pool:
            assert pool.apply(who_turned) == ({os.getpid()}, b"out\n", 7)
        child = multiprocessing.Process(target=slowly, args=(1,))
        child.start()
        child.terminate()
        child.join()
        assert child.exitcode == -signal.SIGTERM
    finally:
        turning.kill()
        signal.signal(signal.SIGTERM, handler)


def foreign_handler() -> Callable[..., None]:
    """A handler that the server has for itself."""

    def handle(*_: Any) -> None: ...

    handle.__module__ = "hublet.entry.serving"
    return handle


def hold(lock: Any, seconds: float) -> None:
    with lock:
        time.sleep(seconds)


def check_a_queue_within_an_offloaded_call() -> None:
    """A greenlet of the waiting thread fills it. What that thread closes is closed when the call ends, not never."""
    ends: list[int] = []

    def fill_and_empty() -> int:
        queue: multiprocessing.Queue[str] = multiprocessing.Queue()
        queue.put("x" * 100_000)
        size = len(queue.get())
        queue.close()
        queue.join_thread()
        ends.extend(os.pipe())
        for end in ends:
            os.close(end)
        return size

    assert gevent.spawn(offload, fill_and_empty).get(timeout=10) == 100_000
    for end in ends:
        assert_raises(OSError, partial(os.fstat, end))
    child = multiprocessing.get_context("fork").Process(target=os.getpid)
    child.start()
    child.join()


def check_locks_that_processes_share() -> None:
    lock = multiprocessing.Lock()
    child = multiprocessing.Process(target=hold, args=(lock, 4 * SLOW))
    child.start()
    while lock.acquire(block=False):
        lock.release()
        gevent.sleep(0.001)
    with measured() as turned:
        assert not lock.acquire(timeout=0.02)
        assert_ends_when_killed(lock.acquire, within=0.1, after=0.02)
        with lock:
            pass
    assert turned.stall < 2 * SLOW  # of four for which it waits
    child.join()
    assert child.exitcode == 0

    again, inside = multiprocessing.RLock(), list[int]()

    def enter(number: int) -> None:
        with again, again:
            inside.append(number)
            gevent.sleep(0.005)
            inside.append(number)

    gevent.joinall([gevent.spawn(enter, number) for number in range(4)], raise_error=True, timeout=10)
    assert inside[::2] == inside[1::2], inside


def put(queue: Any) -> None:
    time.sleep(SLOW)
    queue.put("x" * 100_000)


def check_queues_events_and_managers() -> None:
    def operation() -> None:
        queue: multiprocessing.Queue[str] = multiprocessing.Queue()
        child = multiprocessing.Process(target=put, args=(queue,))
        child.start()
        assert len(queue.get()) == 100_000
        child.join()
        assert child.exitcode == 0
        queue.close()
        queue.join_thread()

    with measured() as turned:
        gevent.joinall([gevent.spawn(operation) for _ in range(8)], raise_error=True, timeout=20)
    assert turned.elapsed < 6 * SLOW, turned  # in a row: 8 and more
    event = multiprocessing.Event()
    gevent.spawn_later(0.02, event.set)
    assert event.wait(5)
    with multiprocessing.Manager() as manager:
        shared = manager.dict(a=1)
        shared["b"] = 2
        assert shared.copy() == {"a": 1, "b": 2}


def check_thread_pools_have_native_threads_on_request() -> None:
    with ThreadPoolExecutor(20) as pool:
        assert pool.submit(get_ident).result() == get_ident()
        patch_all(patch=["native-thread-pools"])
        assert pool.submit(get_ident).result() != get_ident()
        assert_yields(lambda: pool.submit(native_sleep, SLOW).result())
        assert_raises(LookupError, lambda: pool.submit(failing).result())
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    assert_undone("native-thread-pools", Threads)


def check_undo() -> None:
    assert_undone("multiprocessing-pipes", connection.Connection)
    assert_undone("multiprocessing-semaphores", synchronize.SemLock)
    assert_undone("multiprocessing-fork", process.BaseProcess)
    assert_undone("multiprocessing-fork-signals", popen_fork.Popen)
