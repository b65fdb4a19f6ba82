"""Deadlines: what expires, when and in which order, seen through a server's timeouts; and the timer behind them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import gevent
import pytest
from gevent import get_hub
from hublet.runtime.deadlines import DeadlineQueue, Sweeper

from tests.conftest import GET, Client, Serving, active_watchers, wait_until
from tests.servers.http1.apps import answering


def time_until_end(client: Client) -> float:
    """How long it takes until the server ends a connection."""
    began = time.monotonic()
    client.expect_end()
    return time.monotonic() - began


@pytest.mark.parametrize("timeout", [0.05, 0.2, 0.5])
def test_a_deadline_passes_neither_early_nor_very_late(serve: Serving, timeout: float) -> None:
    """The clock is a few milliseconds coarse, and the sweep comes eight times in a timeout."""
    served = serve(answering(list), keepalive_timeout=timeout)
    client = served.connect()
    client.get()
    assert timeout - 0.02 < time_until_end(client) < 1.3 * timeout + 0.3


def test_a_short_timeout_is_kept_beside_long_ones(serve: Serving) -> None:
    served = serve(answering(list), head_timeout=0.1, keepalive_timeout=1000)
    served.connect().get()
    client = served.connect().send(b"GET")
    began = time.monotonic()
    assert client.response().status == 408
    assert 0.08 < time.monotonic() - began < 0.6


def test_who_waited_longest_expires_first(serve: Serving) -> None:
    served = serve(answering(list), keepalive_timeout=0.15)
    ended: list[int] = []

    def wait_for_end(number: int, client: Client) -> None:
        client.expect_end()
        ended.append(number)

    clients = []
    for number in range(4):
        clients.append(served.connect())
        clients[-1].get()
        gevent.spawn(wait_for_end, number, clients[-1])
        gevent.sleep(0.025)
    wait_until(lambda: len(ended) == 4)
    assert ended == [0, 1, 2, 3]


def test_who_begins_to_wait_again_goes_to_the_end(serve: Serving) -> None:
    served = serve(answering(list), keepalive_timeout=0.2)
    first, second = served.connect(), served.connect()
    first.get()
    second.get()
    gevent.sleep(0.1)
    first.get()
    second.expect_end()
    assert first.is_silent()
    assert time_until_end(first) > 0.05


def test_hundreds_expire_together(serve: Serving) -> None:
    served = serve(answering(list), keepalive_timeout=0.2)
    for _ in range(300):
        served.connect()
    served.until(connections=300)
    served.until(connections=0)
    for client in served.clients:
        client.expect_end()


def test_who_stops_waiting_does_not_expire(serve: Serving) -> None:
    """Those that leave the middle of a queue take nobody with them."""
    served = serve(answering(list), keepalive_timeout=0.2)
    clients = [served.connect() for _ in range(30)]
    for client in clients:
        client.get()
    for client in clients[1::2]:
        client.close()
    served.until(connections=15)
    for client in clients[::2]:
        client.expect_end()
    served.until(connections=0)


def test_an_expiry_may_begin_another_wait(serve: Serving) -> None:
    """A late body's answer waits for a slow reader, and a request that catches the error waits anew."""
    errors: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            errors.append(error.status)  # type: ignore[attr-defined]
        gevent.sleep(0.02)
        start_response("200 OK", [])
        return [b"late"]

    served = serve(app, body_timeout=0.05)
    clients = [served.connect().send(GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhel")) for _ in range(5)]
    assert [client.response().body for client in clients] == [b"late"] * 5
    assert errors == [408] * 5


# The timer.


def timers() -> int:
    """How many timers are active."""
    return sum(1 for each in active_watchers() if isinstance(each, type(get_hub().loop.timer(0))))


def test_the_timer_runs_only_while_something_waits(serve: Serving) -> None:
    before = timers()
    served = serve(answering(list), keepalive_timeout=10, head_timeout=0.1)
    assert timers() == before
    for _ in range(2):
        client = served.connect()
        client.get()
        assert timers() == before + 1
        client.close()
        served.until(connections=0)
        wait_until(lambda: timers() == before + 1)  # wait_until's own
    served.connect().get()
    assert timers() == before + 1


def test_a_sweeper_does_not_keep_the_hub_running() -> None:
    sweeper = Sweeper(get_hub().loop)
    DeadlineQueue(sweeper, 10)
    sweeper.start()
    assert get_hub().join(timeout=1) is True
    sweeper.stop()


def test_a_sweeper_may_be_stopped_and_started() -> None:
    before = timers()
    sweeper = Sweeper(get_hub().loop)
    assert DeadlineQueue(sweeper, 5).timeout == 5
    for _ in range(3):
        sweeper.start()
        assert timers() == before + 1
        sweeper.stop()
        sweeper.stop()
        assert timers() == before


def test_a_sweep_with_nothing_to_do_stops_the_timer() -> None:
    before = timers()
    sweeper = Sweeper(get_hub().loop)
    DeadlineQueue(sweeper, 0.01)
    sweeper.start()
    sweeper.sweep()
    assert timers() == before
