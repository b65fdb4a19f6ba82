"""Calls on native threads: results, errors, order, kills, limits, and where there is nothing to yield to."""

from __future__ import annotations

import contextvars
import gc
import hashlib
import io
import os
import subprocess
import sys
import textwrap
import time
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.monkey import get_original
from hublet.runtime.errors import OffloadQueueFull
from hublet.runtime.offload import Lane, Offload, OffloadStatistics, has_hub_to_yield_to, start_new_thread

native_sleep: Callable[[float], None] = get_original("time", "sleep")
get_ident: Callable[[], int] = get_original("_thread", "get_ident")
allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


@pytest.fixture
def pool() -> Offload:
    gevent.get_hub()
    return Offload(threads=4, queue=3)


class Gate:
    """A native lock that calls wait at until it opens."""

    def __init__(self) -> None:
        self.lock = allocate_lock()
        self.lock.acquire()

    def passed(self, value: object = None) -> object:
        with self.lock:
            return value

    def open(self) -> None:
        self.lock.release()


def until(condition: Callable[[], object]) -> None:
    with gevent.Timeout(10):
        while not condition():
            gevent.sleep(0.001)


def test_the_call_runs_elsewhere_and_gives_its_result(pool: Offload) -> None:
    assert pool.call(get_ident) != get_ident()
    assert pool.call(int, "ff", base=16) == 255


def test_the_hub_turns_meanwhile(pool: Offload) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            gevent.sleep(0.005)
            ticks += 1

    ticker = gevent.spawn(tick)
    pool.call(native_sleep, 0.2)
    ticker.kill()
    assert ticks >= 10


def test_an_error_arrives_with_the_traceback_of_the_call(pool: Offload) -> None:
    def failing() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone") as caught:
        pool.call(failing)
    names = [each.name for each in caught.traceback]
    assert names[-1] == "failing"
    assert "run" not in names


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_exceptions_that_end_programs_end_the_call_only(pool: Offload, error: BaseException) -> None:
    def ending() -> None:
        raise error

    with pytest.raises(type(error)):
        pool.call(ending)
    assert pool.call(abs, -1) == 1


def test_context_variables_go_with_the_call(pool: Offload) -> None:
    def paint(colour: str) -> str:
        COLOUR.set(colour)
        return pool.call(COLOUR.get)

    colours = ["red", "green", "blue"]
    assert [each.get() for each in [gevent.spawn(paint, colour) for colour in colours]] == colours
    assert pool.call(COLOUR.get) == "none"


def test_threads_grow_with_what_is_asked_up_to_the_limit(pool: Offload) -> None:
    gate = Gate()
    pool.call(abs, 1)
    pool.call(abs, 1)
    assert pool.statistics().threads == 1
    calls = [gevent.spawn(pool.call, gate.passed, number) for number in range(6)]
    until(lambda: pool.statistics().queued == 2)
    assert (pool.statistics().threads, pool.statistics().running) == (4, 4)
    gate.open()
    assert [each.get(timeout=10) for each in calls] == list(range(6))
    assert (pool.statistics().running, pool.statistics().queued, pool.statistics().finished) == (0, 0, 8)


@pytest.mark.parametrize("waiting, refused", [(2, False), (3, True)])
def test_as_many_wait_as_may(pool: Offload, waiting: int, refused: bool) -> None:
    gate = Gate()
    calls = [gevent.spawn(pool.call, gate.passed) for _ in range(4 + waiting)]
    until(lambda: pool.statistics().queued == waiting)
    one_more = gevent.spawn(pool.call, abs, -1)
    gevent.sleep(0)
    assert one_more.ready() is refused
    gate.open()
    gevent.joinall(calls, raise_error=True, timeout=10)
    if refused:
        with pytest.raises(OffloadQueueFull, match="3 calls wait for one of 4 native threads"):
            one_more.get()
    else:
        assert one_more.get(timeout=10) == 1
    assert pool.call(abs, -2) == 2


def test_a_killed_greenlet_waits_for_its_call(pool: Offload) -> None:
    gate, ended = Gate(), []

    def call() -> None:
        try:
            pool.call(gate.passed)
        finally:
            ended.append(pool.statistics().running)

    victim = gevent.spawn(call)
    until(lambda: pool.statistics().running == 1)
    victim.kill(block=False)
    victim.kill(KeyError, block=False)
    gevent.sleep(0.05)
    assert not victim.dead
    gate.open()
    victim.join(10)
    assert ended == [0]
    assert isinstance(victim.value, gevent.GreenletExit)


def test_a_timeout_is_raised_after_the_call(pool: Offload) -> None:
    begun = time.monotonic()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
        pool.call(native_sleep, 0.2)
    assert time.monotonic() - begun >= 0.2
    assert pool.call(abs, -1) == 1


def test_a_kill_after_a_timeout_is_not_lost(pool: Offload) -> None:
    gates, timed_out = [Gate(), Gate()], []

    def call() -> None:
        for each in gates:
            with gevent.Timeout(0.01, False) as timer:
                pool.call(each.passed)
            timed_out.append(timer)

    victim = gevent.spawn(call)
    gevent.sleep(0.05)
    victim.kill(block=False)
    gevent.sleep(0.05)
    for each in gates:
        each.open()
    victim.join(10)
    assert isinstance(victim.value, gevent.GreenletExit)
    assert timed_out == []


def test_nothing_of_a_call_is_left_with_its_thread(pool: Offload) -> None:
    """A connection that is passed or returned is freed by the greenlet, and at once."""
    freed: list[int] = []

    class Connection:
        def __init__(self) -> None:
            weakref.finalize(self, lambda: freed.append(get_ident()))

        def use(self, *_: object) -> None: ...

        def fail(self) -> None:
            raise OSError(self)

    gc.disable()
    try:
        for _ in range(200):
            connection = Connection()
            pool.call(connection.use, connection)
            del connection
            pool.call(Connection)
            connection = Connection()
            with pytest.raises(OSError):
                pool.call(connection.fail)
            del connection
    finally:
        gc.enable()
    assert set(freed) == {get_ident()}
    assert len(freed) == 600


def test_in_the_hub_a_native_thread_and_without_a_hub_it_is_a_plain_call(pool: Offload) -> None:
    here: list[bool] = []
    done = Event()

    def on_hub() -> None:
        here.append(pool.call(get_ident) == get_ident())
        done.set()

    gevent.get_hub().loop.run_callback(on_hub)
    done.wait(10)
    here.append(pool.call(lambda: pool.call(get_ident) == get_ident()))
    assert here == [True, True]
    script = """
        from hublet.runtime.offload import POOL, offload
        import _thread
        print(offload(_thread.get_ident) == _thread.get_ident(), POOL.statistics().threads)
    """
    assert run_python(script) == "True 0\n"


def test_the_hub_waits_for_a_call_when_there_is_nothing_else() -> None:
    script = """
        import gevent, time
        from hublet.runtime.offload import offload
        gevent.get_hub()
        print([offload(time.sleep, 0.05) for _ in range(3)])
        gevent.wait()
        print("ends")
    """
    assert run_python(script) == "[None, None, None]\nends\n"


def test_a_forked_child_has_threads_of_its_own() -> None:
    script = """
        from gevent import monkey; monkey.patch_all()
        import gevent, os
        from hublet.runtime.offload import POOL, offload
        gevent.get_hub()
        offload(abs, 1)
        pid = os.fork()
        if pid == 0:
            os._exit(offload(abs, -7) + POOL.statistics().threads)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    assert run_python(script) == "8\n"


def test_several_hubs_share_a_pool(pool: Offload) -> None:
    script = """
        import _thread, gevent, time
        from hublet.runtime.offload import POOL, offload
        ended = []
        def thread(number):
            gevent.get_hub()
            ended.append([each.get() for each in [gevent.spawn(offload, abs, -number) for _ in range(50)]])
        for number in range(4):
            _thread.start_new_thread(thread, (number,))
        while len(ended) < 4:
            time.sleep(0.01)
        print(sorted(set(map(tuple, ended))) == [(number,) * 50 for number in range(4)])
    """
    assert run_python(script) == "True\n"


def test_what_releases_the_lock_of_the_interpreter_runs_beside_the_hub(pool: Offload) -> None:
    digest = pool.call(hashlib.pbkdf2_hmac, "sha256", b"secret", b"salt", 100)
    assert digest == hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 100)


# Lanes.


def test_calls_of_a_lane_run_one_after_the_other_in_order(pool: Offload) -> None:
    lane, at_once, order = Lane(pool), [], list[int]()
    inside = 0

    def use(number: int) -> None:
        nonlocal inside
        inside += 1
        at_once.append(inside)
        native_sleep(0.002)
        inside -= 1
        order.append(number)

    gevent.joinall([gevent.spawn(lane.call, use, number) for number in range(12)], raise_error=True, timeout=10)
    assert set(at_once) == {1}
    assert order == list(range(12))
    assert not lane.is_busy


def test_a_kill_while_waiting_for_the_lane_does_not_wait_for_the_call_before(pool: Offload) -> None:
    lane, gate = Lane(pool), Gate()
    first = gevent.spawn(lane.call, gate.passed, "first")
    until(lambda: lane.is_busy)
    second = gevent.spawn(lane.call, gate.passed, "second")
    gevent.sleep(0)
    second.kill(timeout=10)
    assert second.dead
    assert not first.dead
    gate.open()
    assert first.get(timeout=10) == "first"
    assert lane.call(abs, -1) == 1


def test_a_call_within_a_call_of_the_same_lane(pool: Offload) -> None:
    """A library's callback may use the connection that it is called for."""
    lane = Lane(pool)
    assert lane.call(lambda: lane.call(abs, -5)) == 5


def test_the_hub_cannot_wait_for_a_lane(pool: Offload) -> None:
    lane, gate, errors = Lane(pool), Gate(), list[BaseException]()
    first = gevent.spawn(lane.call, gate.passed)
    until(lambda: lane.is_busy)

    def on_hub() -> None:
        try:
            lane.call(abs, 1)
        except RuntimeError as error:
            errors.append(error)

    gevent.get_hub().loop.run_callback(on_hub)
    until(lambda: errors)
    gate.open()
    first.get(timeout=10)
    assert "on the hub" in str(errors[0])


def test_the_hub_may_call_within_its_own_call(pool: Offload) -> None:
    lane, found = Lane(pool), list[int]()
    gevent.get_hub().loop.run_callback(lambda: found.append(lane.call(lambda: lane.call(abs, -6))))
    until(lambda: found)
    assert found == [6]
    assert not lane.is_busy


def test_a_wait_on_the_hub_may_take_the_lane(pool: Offload) -> None:
    lane, order, errors = Lane(pool), list[str](), list[BaseException]()

    def on_hub() -> None:
        try:
            with lane:
                order.append("hub")
        except RuntimeError as error:
            errors.append(error)

    with lane:
        waiting = gevent.spawn(lane.call, order.append, "call")
        gevent.sleep(0.01)
        order.append("wait")
        gevent.get_hub().loop.run_callback(on_hub)
        until(lambda: errors)
    waiting.join(10)
    assert order == ["wait", "call"]
    assert "on the hub" in str(errors[0])


def run_python(script: str) -> str:
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment).stdout


def test_a_call_within_a_call_where_what_was_called_has_made_a_hub(pool: Offload) -> None:
    """As `time.sleep` in a function of an application's that a library calls back."""
    lane = Lane(pool)

    def inner() -> tuple[bool, bool, int]:
        gevent.sleep(0.001)
        return pool.call(get_ident) == get_ident(), has_hub_to_yield_to(), lane.call(int, "5")

    with gevent.Timeout(10):
        assert lane.call(inner) == (True, False, 5)


def test_an_error_of_a_raw_greenlet_keeps_no_other_call_from_its_waiter(
    pool: Offload, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = io.StringIO()
    monkeypatch.setattr(gevent.get_hub(), "exception_stream", errors)
    gate = Gate()
    back: list[int] = []

    def waiting(number: int) -> None:
        pool.call(gate.passed)
        back.append(number)
        raise LookupError(f"raised by {number}")

    for number in range(4):
        gevent.spawn_raw(waiting, number)
    until(lambda: pool.statistics().running == 4)
    gate.open()
    native_sleep(0.1)  # so that all have ended when the hub looks
    until(lambda: len(back) == 4)
    assert errors.getvalue().count("LookupError: raised by") == 4


def test_a_thread_outlives_a_hub_that_is_destroyed_while_it_calls() -> None:
    one = Offload(threads=1, queue=3)
    gate = Gate()

    left: list[bool] = []

    def leave() -> None:
        gevent.spawn(one.call, gate.passed)
        gevent.sleep(0.01)
        gevent.get_hub().destroy(destroy_loop=True)
        left.append(True)

    start_new_thread(leave, ())
    until(lambda: left)
    assert (one.statistics().running, one.statistics().finished) == (1, 0)
    gate.open()
    with gevent.Timeout(10):
        assert one.call(int, "5") == 5
    assert (one.statistics().running, one.statistics().finished) == (0, 2)


@pytest.mark.parametrize("lost, refused", [(3, False), (4, False), (5, True)])
def test_calls_of_a_destroyed_hub_take_no_room_once_they_have_ended(lost: int, refused: bool) -> None:
    """Of one thread and a queue of four."""
    one = Offload(threads=1, queue=4)
    gates = [Gate() for _ in range(lost)]
    left: list[bool] = []

    def leave() -> None:
        for each in gates:
            gevent.spawn(one.call, each.passed)
        gevent.sleep(0.01)
        gevent.get_hub().destroy(destroy_loop=True)
        left.append(True)

    start_new_thread(leave, ())
    until(lambda: left)
    if refused:
        with pytest.raises(OffloadQueueFull):
            one.call(abs, -1)
    for each in gates:
        each.open()
    until(lambda: one.statistics().finished == lost)
    with gevent.Timeout(10):
        assert one.call(abs, -1) == 1
    assert one.statistics() == OffloadStatistics(threads=1, running=0, queued=0, finished=lost + 1)


def test_while_the_interpreter_ends_it_is_a_plain_call() -> None:
    """A thread would never run again, and greenlets refuse to switch."""
    script = """
        from gevent import monkey; monkey.patch_all()
        import gevent, os
        from hublet.runtime.offload import Lane, offload, has_hub_to_yield_to
        gevent.sleep(0)
        offload(abs, 1)
        class Last:
            def __del__(self, os=os, offload=offload, lane=Lane(), may_wait=has_hub_to_yield_to):
                os.write(1, b"%d %d %d\\n" % (offload(abs, -1), lane.call(abs, -2), may_wait()))
        last = Last()
    """
    assert run_python(script) == "1 2 0\n"


def test_at_exit_it_works_without_a_thread_so_far() -> None:
    """Python 3.12 starts none there: "can't create new thread at interpreter shutdown"."""
    script = """
        from gevent import monkey; monkey.patch_all()
        import atexit, gevent
        from hublet.runtime.offload import offload
        gevent.sleep(0)
        atexit.register(lambda: print(offload(abs, -1)))
    """
    assert run_python(script) == "1\n"


def test_where_the_system_has_no_thread_left_it_is_a_plain_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> int:
        raise RuntimeError("can't start new thread")

    one, other = Offload(), Offload()
    assert one.call(get_ident) != get_ident()
    monkeypatch.setattr("hublet.runtime.offload.start_new_thread", none_left)
    assert other.call(get_ident) == get_ident()
    assert other.statistics() == OffloadStatistics(threads=0, running=0, queued=0, finished=0)
    with gevent.Timeout(10):
        both = [gevent.spawn(one.call, native_sleep, 0.01) for _ in range(2)]  # the second waits for the one thread
        gevent.joinall(both, raise_error=True)
    assert one.statistics() == OffloadStatistics(threads=1, running=0, queued=0, finished=3)
    monkeypatch.undo()
    assert other.call(get_ident) != get_ident()


def test_calls_that_end_one_after_the_other_leave_the_hub_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends while the one before is delivered: timers and sockets have their turns between them."""

    class Fastest:
        def put(self, call: Any) -> None:
            call.run()
            call.returns.ended(call)

    one, made = Offload(), list[int]()
    one.call(abs, -1)  # it has its thread
    monkeypatch.setattr(one, "_calls", Fastest())
    caller = gevent.spawn(lambda: made.extend(one.call(abs, -1) for _ in range(20_000)))
    gevent.sleep(0.001)
    assert 0 < len(made) < 20_000
    caller.kill()
