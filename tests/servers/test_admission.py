"""Admission: how many requests are in the application at once, how many wait, and which are refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.conftest import GET, Serving


class Gate:
    """An application whose requests wait until `open` is set. `entered` has their paths in the order of admission."""

    def __init__(self) -> None:
        self.open = Event()
        self.entered: list[str] = []
        self.inside = 0
        self.most_inside = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.entered.append(environ["PATH_INFO"])
        self.inside += 1
        self.most_inside = max(self.inside, self.most_inside)
        self.open.wait()
        self.inside -= 1
        start_response("200 OK", [])
        return []


def get(number: int) -> bytes:
    return b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number


@pytest.mark.parametrize("queued", [0, 1, 3])
@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_requests_run_then_wait_then_are_refused(serve: Serving, queued: int, excess: int) -> None:
    gate = Gate()
    served = serve(gate, max_in_flight=2, max_queued=queued)
    clients = []
    for number in range(2 + queued + excess):
        clients.append(served.connect().send(get(number)))
        served.until(requests=number + 1)
    statistics = served.server.statistics()
    assert (statistics.in_flight, statistics.queued) == (min(2, len(clients)), max(0, queued + min(excess, 0)))
    assert statistics.rejected == max(excess, 0)
    if excess > 0:
        response = clients.pop().response()
        assert (response.status, response["Retry-After"], response["Connection"]) == (503, "1", "close")
    gate.open.set()
    assert [client.response().status for client in clients] == [200] * len(clients)
    assert gate.entered == [f"/{number}" for number in range(len(clients))]
    assert gate.most_inside <= 2
    served.until(in_flight=0, queued=0)
    assert served.log == ""


def test_a_refused_client_may_come_back(serve: Serving) -> None:
    gate = Gate()
    served = serve(gate, max_in_flight=1, max_queued=0)
    first = served.connect().send(GET)
    served.until(in_flight=1)
    assert served.get().status == 503
    gate.open.set()
    assert first.response().status == 200
    assert served.get().status == 200


def test_without_a_bound_everything_runs(serve: Serving) -> None:
    gate = Gate()
    served = serve(gate)
    clients = [served.connect().send(GET) for _ in range(50)]
    served.until(in_flight=50, queued=0)
    gate.open.set()
    assert {client.response().status for client in clients} == {200}


def test_a_pipeline_does_not_overtake_those_who_wait(serve: Serving) -> None:
    gate = Gate()
    served = serve(gate, max_in_flight=1)
    greedy = served.connect().send(get(1) * 50)
    served.until(in_flight=1)
    modest = served.connect().send(get(2))
    served.until(queued=1)
    gate.open.set()
    assert modest.response().status == 200
    assert gate.entered.index("/2") == 1
    greedy.responses(50)


@pytest.mark.parametrize("pipelined", [0, 5])
def test_a_request_that_waited_has_its_body_and_its_successors(serve: Serving, pipelined: int) -> None:
    gate = Gate()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        list(gate(environ, start_response))
        return [environ["wsgi.input"].read()]

    served = serve(app, max_in_flight=1)
    first = served.connect().send(GET)
    served.until(in_flight=1)
    second = served.connect().send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + GET * pipelined)
    served.until(queued=1)
    gate.open.set()
    assert first.response().status == 200
    assert [response.body for response in second.responses(1 + pipelined)] == [b"hello"] + [b""] * pipelined


def test_a_client_that_leaves_while_it_waits_does_not_block_the_others(serve: Serving) -> None:
    gate = Gate()
    served = serve(gate, max_in_flight=1)
    first = served.connect().send(GET)
    served.until(in_flight=1)
    for _ in range(3):
        served.connect().send(GET).reset()
    last = served.connect().send(get(9))
    served.until(requests=5)
    gate.open.set()
    assert first.response().status == 200
    assert last.response().status == 200
    served.until(in_flight=0, queued=0)
    assert served.log == ""


def test_a_long_queue_of_short_requests_lets_the_hub_run(serve: Serving) -> None:
    """Hundreds of waiting requests are not admitted in one go if each computes for a moment."""
    gate = Gate()
    ticks: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        result = gate(environ, start_response)
        sum(range(50_000))  # about a millisecond
        return result

    served = serve(app, max_in_flight=1)
    clients = [served.connect().send(GET) for _ in range(200)]
    served.until(in_flight=1, queued=199)

    def tick() -> None:
        while served.server.statistics().queued:
            ticks.append(served.server.statistics().queued)
            gevent.sleep(0.001)

    ticker = gevent.spawn(tick)
    gate.open.set()
    assert {client.response().status for client in clients} == {200}
    ticker.join()
    assert max(earlier - later for earlier, later in zip(ticks, [*ticks[1:], 0], strict=True)) < 50
