"""What is checked of Celery's producers and results, in a patched process, while a worker with -P gevent runs."""

from __future__ import annotations

import gc

import celery.app.base
import celery.backends.asynchronous
import celery.exceptions
import celery.worker.loops
import gevent
from gevent import Greenlet

from loadtests.private.slow_proxy import slow_proxy

from .celery_tasks import app, fail, wait
from .probe import AT_ONCE, assert_ends_when_killed, assert_raises, assert_undone, assert_yields


def check_tasks_run_at_once_and_return() -> None:
    """The worker runs them at the same time; and in this process other greenlets go on."""
    at_once = assert_yields(lambda: wait.delay(0.5).get(timeout=10))
    assert max(at_once) > AT_ONCE / 2, at_once


def check_a_failed_task_raises() -> None:
    error = assert_raises(ValueError, lambda: fail.delay("no such thing").get(timeout=10))
    assert str(error) == "no such thing"
    assert wait.delay(0).get(timeout=10) >= 1


def check_waiting_is_ended_by_timeouts_and_kills() -> None:
    slow = wait.delay(2.5)
    assert_raises(celery.exceptions.TimeoutError, lambda: slow.get(timeout=0.1))  # it looks each second
    with gevent.Timeout(0.1, False):
        slow.get()
    assert slow.get(timeout=10) >= 1
    assert_ends_when_killed(lambda: wait.delay(1).get(), within=0.5, after=0.3)
    assert wait.delay(0).get(timeout=10) >= 1


def check_greenlets_have_queues_of_their_own() -> None:
    """Also those that have the number of one that has ended."""
    names = [gevent.spawn(lambda: app.thread_oid).get() for _ in range(AT_ONCE)]
    assert len(set(names)) == AT_ONCE


def check_who_waits_leaves_no_greenlet_behind() -> None:
    def greenlets() -> int:
        gc.collect()
        return sum(isinstance(each, Greenlet) and not each.dead for each in gc.get_objects())

    before = greenlets()
    tasks = [gevent.spawn(lambda: wait.delay(0).get(timeout=10)) for _ in range(AT_ONCE)]
    gevent.joinall(tasks, raise_error=True, timeout=20)
    del tasks
    gevent.sleep(0.05)
    assert greenlets() <= before


def check_sending_through_a_slow_network() -> None:
    """Each on a connection of the application's pool, with the broker's confirmation."""
    with slow_proxy(app.connection_for_write().port) as slow:
        confirm = {"confirm_publish": True}
        connection = app.connection_for_write(f"amqp://guest:guest@127.0.0.1:{slow}//", transport_options=confirm)
        pool = connection.Pool(limit=AT_ONCE)

        def send() -> None:
            with pool.acquire(block=True) as one:
                wait.apply_async((0,), connection=one, ignore_result=True, retry=False)

        def send_all() -> None:
            gevent.joinall([gevent.spawn(send) for _ in range(AT_ONCE)], raise_error=True, timeout=20)

        send_all()  # connects
        assert_yields(send)
        with gevent.Timeout(0.05, False):
            send()
        send_all()  # also on the connection that was closed for it
        pool.force_close_all()


def check_undo() -> None:
    assert_undone("celery-results", celery.backends.asynchronous, celery.app.base)
    assert_undone("celery-worker", celery.worker.loops)
