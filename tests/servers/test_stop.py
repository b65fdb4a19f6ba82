"""Stopping: idle connections are closed at once, requests in flight finish within their time or are killed after it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event

from tests.conftest import GET, CutShort, Serving, wait_until
from tests.servers.http1.apps import answering


class Held:
    """An application that waits for `go_on` in the path's place: before its response, or in the middle of it."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.killed: list[BaseException] = []
        self.closed = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/now":
            start_response("200 OK", [])
            return []
        if environ["PATH_INFO"] == "/stream":
            start_response("200 OK", [])
            return self.stream()
        self.hold()
        start_response("200 OK", [])
        return [b"held"]

    def hold(self) -> None:
        try:
            self.go_on.wait()
        except BaseException as error:
            self.killed.append(error)
            raise

    def stream(self) -> Iterator[bytes]:
        try:
            yield b"begun "
            self.hold()
            yield b"ended"
        finally:
            self.closed += 1


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@pytest.mark.parametrize("path, body", [("/hold", b"held"), ("/stream", b"begun ended")])
def test_a_request_in_flight_finishes(serve: Serving, path: str, body: bytes) -> None:
    app = Held()
    served = serve(app)
    client = served.connect().send(get(path))
    served.until(in_flight=1)
    stopping = gevent.spawn(served.server.stop, 5)
    wait_until(lambda: served.server.closed)
    app.go_on.set()
    response = client.response()
    assert response.body == body
    assert response.all("Connection") == (["close"] if path == "/hold" else [])
    client.expect_end()
    with gevent.Timeout(1):
        stopping.get()
    assert (app.killed, served.log) == ([], "")


@pytest.mark.parametrize("path", ["/hold", "/stream"])
def test_a_request_that_takes_too_long_is_killed(serve: Serving, path: str) -> None:
    app = Held()
    served = serve(app)
    client = served.connect().send(get(path))
    served.until(in_flight=1)
    began = time.monotonic()
    served.server.stop(0.1)
    assert 0.09 < time.monotonic() - began < 1
    assert isinstance(app.killed[0], GreenletExit)
    if path == "/hold":
        assert client.response().status in (500, 503)
    else:
        with pytest.raises(CutShort):
            client.response()
        assert app.closed == 1


def test_stop_with_nothing_to_wait_for_returns_at_once(serve: Serving) -> None:
    served = serve(Held())
    clients = [served.connect().send(GET.replace(b"/ ", b"/now ")) for _ in range(3)]
    for client in clients:
        client.response()
    idle = served.connect()
    in_head = served.connect().send(b"GET / HT")
    served.until(connections=5)
    began = time.monotonic()
    served.server.stop(5)
    assert time.monotonic() - began < 0.5
    for client in [*clients, idle]:
        client.expect_end()
    in_head.expect_end()
    assert served.server.statistics().connections == 0
    with pytest.raises(ConnectionRefusedError):
        served.connect()


def test_an_idle_connection_is_closed_while_others_are_waited_for(serve: Serving) -> None:
    app = Held()
    served = serve(app)
    idle = served.connect()
    idle.get("/now")
    busy = served.connect().send(get("/hold"))
    served.until(in_flight=1)
    stopping = gevent.spawn(served.server.stop, 5)
    idle.expect_end()
    assert busy.is_silent()
    app.go_on.set()
    assert busy.response().body == b"held"
    stopping.get()


def test_requests_that_wait_for_admission_finish_too(serve: Serving) -> None:
    app = Held()
    served = serve(app, max_in_flight=1)
    clients = [served.connect().send(get("/hold")) for _ in range(3)]
    served.until(in_flight=1, queued=2)
    stopping = gevent.spawn(served.server.stop, 5)
    wait_until(lambda: served.server.closed)
    app.go_on.set()
    for client in clients:
        response = client.response()
        assert (response.body, response["Connection"]) == (b"held", "close")
    stopping.get()


def test_requests_that_wait_for_admission_too_long_are_not_started(serve: Serving) -> None:
    app = Held()
    served = serve(app, max_in_flight=1)
    served.connect().send(get("/hold"))
    served.until(in_flight=1)
    client = served.connect().send(get("/hold"))
    served.until(queued=1)
    served.server.stop(0.05)
    assert len(app.killed) == 1
    assert client.response().status == 503


def test_a_request_sent_before_the_stop_is_answered(serve: Serving) -> None:
    """It is in the kernel's buffer, where an idle connection looks once more before it is closed."""
    served = serve(Held())
    client = served.connect()
    client.get("/now")
    client.socket._sock.send(get("/now"))  # without a switch to the hub
    served.server.stop(1)
    assert client.response().status == 200
    client.expect_end()


def test_an_application_that_survives_being_killed_does_not_hold_up_the_stop(serve: Serving) -> None:
    app = Held()
    survived: list[bool] = []

    def stubborn(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            app.hold()
        except GreenletExit:
            gevent.sleep(0.05)
            survived.append(True)
        start_response("200 OK", [])
        return [b"too late"]

    served = serve(stubborn)
    client = served.connect().send(GET)
    served.until(in_flight=1)
    served.server.stop(0.05)
    assert not survived
    with pytest.raises((EOFError, ConnectionResetError)):
        client.response()
    wait_until(lambda: survived)


def test_an_application_may_stop_its_server(serve: Serving) -> None:
    """It does not wait for itself: its response is one of those that finish."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        served.server.stop(5)
        start_response("200 OK", [])
        return [b"stopping"]

    served = serve(app)
    running = gevent.spawn(served.server.serve_forever)
    idle = served.connect()
    served.until(connections=1)
    response = served.connect().send(GET).response()
    assert response.body == b"stopping"
    idle.expect_end()
    with gevent.Timeout(1):
        running.get()
    served.until(connections=0)


def test_stop_without_a_timeout_does_not_wait(serve: Serving) -> None:
    """As with pywsgi, whose requests run on in greenlets of their own; here they are the last of their connections."""
    app = Held()
    served = serve(app)
    busy = [served.connect().send(get(path)) for path in ("/hold", "/stream")]
    served.until(in_flight=2)
    idle = served.connect()
    served.until(connections=3)
    served.server.stop()
    idle.expect_end()
    assert served.server.statistics().in_flight == 2
    app.go_on.set()
    assert [client.response().body for client in busy] == [b"held", b"begun ended"]
    for client in busy:
        client.expect_end()
    served.until(connections=0, in_flight=0)
    assert served.log == ""


def test_stop_without_a_timeout_waits_if_spawn_bounds_the_requests(serve: Serving) -> None:
    app = Held()
    served = serve(app, {"spawn": 5})
    served.server.stop_timeout = 0.05
    served.connect().send(get("/hold"))
    served.until(in_flight=1)
    served.server.stop()
    assert (len(app.killed), served.server.statistics().connections) == (1, 0)


@pytest.mark.parametrize("timeout", [0, 0.05, 5])
def test_two_stops_at_once_both_return(serve: Serving, timeout: float) -> None:
    app = Held()
    served = serve(app)
    client = served.connect().send(get("/hold"))
    served.until(in_flight=1)
    stopping = [gevent.spawn(served.server.stop, timeout) for _ in range(2)]
    wait_until(lambda: served.server.closed)
    if timeout == 5:
        gevent.idle()
        app.go_on.set()
        assert client.response().body == b"held"
    with gevent.Timeout(1):
        gevent.joinall(stopping, raise_error=True)
    assert not served.server.started


def test_a_stop_that_is_given_up_can_be_repeated(serve: Serving) -> None:
    app = Held()
    served = serve(app)
    client = served.connect().send(get("/hold"))
    served.until(in_flight=1)
    with gevent.Timeout(0.05, False):
        served.server.stop(5)
    assert served.server.statistics().in_flight == 1
    app.go_on.set()
    served.server.stop(5)
    assert served.server.statistics().connections == 0
    assert client.response().body == b"held"


def test_accepted_but_silent_connections_do_not_delay_a_stop(serve: Serving) -> None:
    served = serve(answering(list))
    clients = [served.connect() for _ in range(20)]
    served.until(connections=20)
    began = time.monotonic()
    served.server.stop(5)
    assert time.monotonic() - began < 0.5
    for client in clients:
        client.expect_end()
