"""How a WebSocket ends: by its closing handshake, a vanishing peer, a failing application, a stopping server."""

from __future__ import annotations

import gc
import os
import time
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import GreenletExit, getcurrent
from gevent.event import Event
from geventwebsocket.exceptions import WebSocketError
from hublet.runtime import limits
from hublet.servers.websocket.websocket import WebSocket

from tests.conftest import GET, Served, Serving, wait_until
from tests.servers.websocket.peer import (
    ECHOES,
    Echo,
    Peer,
    blocking,
    calling,
    close_frame,
    echo,
    handshake,
    narrow,
    open_peer,
    resident,
    settle,
)
from tests.servers.websocket.streams import CLOSE, PING, TEXT, frame

styles = pytest.mark.parametrize("style", ECHOES)


MIB = 1 << 20


class Log:
    """An application that notes how its WebSocket ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[int | None, str | None]] = []

    def use(self, ws: WebSocket) -> None:
        echo(ws)
        self.ends.append((ws.close_code, ws.close_reason))


def is_gone(served: Served) -> None:
    """Wait until nothing is left of the connections, and assert that there is nothing in the error log."""
    served.until(websockets=0, connections=0, in_flight=0)
    assert served.log == ""


# The closing handshake.


@styles
@pytest.mark.parametrize("code, reason", [(1000, ""), (1001, "going"), (3000, "grüße"), (4999, "x" * 123), (None, "")])
def test_the_peer_closes(serve: Serving, style: str, code: int | None, reason: str) -> None:
    served = serve(ECHOES[style])
    peer = open_peer(served).close(code, reason)
    peer.expect_close_frame(code or 1005, "")
    peer.expect_end()
    assert peer.response.status == 101
    peer.client.close()
    is_gone(served)


@pytest.mark.parametrize(
    "data, end",
    [
        (close_frame(4000, "reason"), (4000, "reason")),
        (close_frame(), (1005, "")),
        (frame(CLOSE, b"\x03\xe7"), (1002, None)),
        (b"", (1006, "")),
        (frame(TEXT, b"\xff"), (1007, None)),
    ],
    ids=["code", "no code", "bad code", "no close frame", "failure"],
)
def test_the_application_learns_the_code(serve: Serving, data: bytes, end: tuple[int, str | None]) -> None:
    log = Log()
    served = serve(blocking(log.use))
    open_peer(served).send(data).client.end()
    wait_until(lambda: log.ends)
    assert log.ends[0][0] == end[0]
    assert end[1] in (None, log.ends[0][1])
    is_gone(served)


@pytest.mark.parametrize("code, reason", [(1000, ""), (4000, "grüße"), (1011, "x" * 200), (1013, "é" * 100)])
def test_the_application_closes(serve: Serving, code: int, reason: str) -> None:
    found: list[Any] = []

    def use(ws: WebSocket) -> None:
        ws.close(code, reason)
        found.append((ws.closed, ws.close_code))
        for attempt in (ws.receive, lambda: ws.send("x"), ws.ping):
            with pytest.raises(WebSocketError):
                attempt()
        ws.close()

    served = serve(blocking(use))
    peer = open_peer(served)
    _, seen_code, seen_reason = peer.event()
    assert seen_code == code
    assert reason.startswith(seen_reason)
    assert len(seen_reason.encode()) == min(len(reason.encode()), 123) - (1 if reason.startswith("é") else 0)
    assert peer.client.is_silent(), "it waits for the peer's close frame"
    peer.close(code).expect_end()
    assert found == [(True, code)]
    peer.client.close()
    is_gone(served)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2000, 5000])
def test_codes_that_must_not_be_sent(serve: Serving, code: int) -> None:
    def use(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match=str(code)):
            ws.close(code)
        ws.send("open")

    assert open_peer(serve(blocking(use))).receive() == "open"


def test_returning_closes(serve: Serving) -> None:
    served = serve(blocking(lambda ws: ws.send("done")))
    peer = open_peer(served)
    assert peer.receive() == "done"
    peer.expect_close(1000)
    is_gone(served)


def test_both_close_at_once(serve: Serving) -> None:
    go_on = Event()
    served = serve(blocking(lambda _: go_on.wait(), lambda ws: ws.close(4001)))
    peer = Peer(served.connect().send(handshake()))
    served.until(in_flight=1)
    go_on.set()
    peer.close(4002)
    peer.opened().expect_close_frame(4001)
    peer.expect_end()
    peer.client.close()
    is_gone(served)


def test_what_comes_between_our_close_and_the_peers_is_dropped(serve: Serving) -> None:
    served = serve(blocking(lambda ws: ws.close(4000)))
    peer = open_peer(served)
    peer.expect_close_frame(4000)
    peer.text("late").ping(b"late").send(frame(TEXT, b"x" * 100_000)).close(4000)
    peer.expect_end()
    peer.client.close()
    is_gone(served)


@pytest.mark.parametrize("flood", [False, True])
def test_a_peer_that_never_answers_our_close(serve: Serving, flood: bool) -> None:
    served = serve(blocking(lambda ws: ws.close()), websocket_close_timeout=0.1)
    peer = open_peer(served)
    began = time.monotonic()
    peer.expect_close_frame(1000)
    try:
        while flood and time.monotonic() - began < 5:
            peer.text("never mind")
            gevent.idle()
    except ConnectionError:
        pass
    served.until(connections=0)
    assert time.monotonic() - began < 1
    is_gone(served)


@pytest.mark.parametrize("flood", [False, True])
def test_a_peer_that_never_ends_its_stream(serve: Serving, monkeypatch: pytest.MonkeyPatch, flood: bool) -> None:
    monkeypatch.setattr(limits, "LINGER_TIMEOUT", 0.1)
    served = serve(ECHOES["blocking"])
    peer = open_peer(served).close(1000)
    peer.expect_close_frame(1000)
    peer.expect_end()
    try:
        while flood and served.server.statistics().connections:
            peer.text("never mind")
            gevent.idle()
    except ConnectionError:
        pass
    is_gone(served)


def test_everything_sent_before_the_close_reaches_a_slow_peer(serve: Serving) -> None:
    served = narrow(
        serve(blocking(lambda ws: ws.send("x" * MIB)), websocket_close_timeout=0.05, websocket_buffer=2 * MIB),
        sends=65536,
    )
    peer = open_peer(served, receive_buffer=32768)
    data = peer.client.received
    began = time.monotonic()
    while len(data) < MIB:
        data += peer.client.socket.recv(32768) or pytest.fail("it was cut")
        gevent.sleep(0.01)
    assert time.monotonic() - began > 0.2
    assert peer.reader.feed(data)[0] == ("message", "x" * MIB)


@pytest.mark.parametrize("opcode", ["close", "ping"])
def test_a_blocked_sender_hears_of_the_close_at_once(serve: Serving, opcode: str) -> None:
    ends: list[Any] = []

    def use(ws: WebSocket) -> None:
        try:
            while True:
                ws.send("x" * 10_000)
        except WebSocketError as error:
            ends.append(error)

    served = narrow(serve(blocking(use), websocket_buffer=20_000))
    peer = open_peer(served, receive_buffer=4096)
    settle()
    began = time.monotonic()
    if opcode == "close":
        peer.close(1000)
    else:
        peer.client.reset()
    wait_until(lambda: ends)
    assert time.monotonic() - began < 1
    peer.client.close()
    is_gone(served)


# Peers that vanish.


@pytest.mark.parametrize("style", ["blocking", "callbacks"])
@pytest.mark.parametrize("how", ["reset", "close", "end"])
@pytest.mark.parametrize("after", ["handshake", "opening", "message", "half a message", "our close", "its close"])
def test_a_peer_vanishes(serve: Serving, monkeypatch: pytest.MonkeyPatch, style: str, how: str, after: str) -> None:
    monkeypatch.setattr(limits, "LINGER_TIMEOUT", 0.05)
    app = blocking(lambda ws: ws.close()) if after == "our close" else ECHOES[style]
    served = serve(app, websocket_close_timeout=0.05)
    client = served.connect().send(handshake())
    if after != "handshake":
        peer = Peer(client).opened()
    if after == "message":
        peer.text("x" * 1000)
    elif after == "half a message":
        peer.send(frame(TEXT, b"x" * 1000)[:500])
    elif after == "our close":
        peer.expect_close_frame(1000)
    elif after == "its close":
        peer.close(1000)
    getattr(client, how)()
    served.until(accepted=1, requests=1)
    is_gone(served)


@pytest.mark.parametrize("use", ["receive", "send", "close", "closed", "ping"])
def test_a_peer_vanishes_before_the_first_use(serve: Serving, use: str) -> None:
    found: list[Any] = []
    go_on = Event()
    uses: dict[str, Callable[[WebSocket], object]] = {
        "receive": lambda ws: ws.receive(),
        "send": lambda ws: ws.send("x"),
        "close": lambda ws: ws.close(),
        "ping": lambda ws: ws.ping(),
        "closed": lambda ws: ws.closed,
    }

    def late(ws: WebSocket) -> None:
        go_on.wait()
        try:
            found.append(uses[use](ws))
        except WebSocketError as error:
            found.append(error)
        for _ in range(3):
            try:
                ws.send("more")
            except WebSocketError:
                found.append("lost")
            gevent.idle()

    served = serve(blocking(late))
    client = served.connect().send(handshake())
    served.until(in_flight=1)
    client.reset()
    go_on.set()
    wait_until(lambda: "lost" in found)
    is_gone(served)


def test_pongs_to_a_peer_that_has_vanished(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was buffered is not looked at any more when the first pong fails."""
    monkeypatch.setattr(limits, "LINGER_TIMEOUT", 0.05)
    begin = Event()

    def use(ws: WebSocket) -> None:
        ws.accept()
        begin.wait()
        echo(ws)

    served = serve(blocking(use))
    for _ in range(5):
        begin.clear()
        peer = open_peer(served)
        peer.send(frame(TEXT, b"m") * 40 + frame(PING, b"x" * 100) * 200 + close_frame(1000))
        settle()
        peer.client.reset()
        settle()
        begin.set()
        is_gone(served)
    gevent.sleep(0.15)
    is_gone(served)


# Pings.


@styles
def test_pings_and_a_peer_that_answers(serve: Serving, style: str) -> None:
    served = serve(ECHOES[style], websocket_ping_interval=0.02, websocket_pong_timeout=0.3)
    peer = open_peer(served)
    for _ in range(5):
        assert peer.event() == ("ping", b"")
        peer.pong()
    peer.echo("still there")
    peer.leave()


@styles
def test_a_peer_that_does_not_answer_pings(serve: Serving, style: str) -> None:
    served = serve(ECHOES[style], websocket_ping_interval=0.02, websocket_pong_timeout=0.05)
    peer = open_peer(served)
    assert peer.event() == ("ping", b"")
    peer.expect_close_frame(1011, "no answer to a ping within 0.05 s")
    peer.expect_end()
    peer.client.close()
    is_gone(served)


def test_a_peer_that_is_busy_sending_is_alive(serve: Serving) -> None:
    served = serve(ECHOES["blocking"], websocket_ping_interval=0.02, websocket_pong_timeout=0.05)
    peer = open_peer(served)
    for _ in range(30):
        peer.text("x")
        gevent.sleep(0.01)
    assert [event for event in iter(peer.event, ("ping", b"")) if event[0] == "close"] == []


def test_pings_while_the_application_is_busy(serve: Serving) -> None:
    done = Event()
    peer = open_peer(serve(blocking(lambda ws: ws.accept(), lambda _: done.wait()), websocket_ping_interval=0.02))
    for _ in range(3):
        assert peer.event() == ("ping", b"")
        peer.pong().ping(b"and you?")
        assert peer.event() == ("pong", b"and you?")
    done.set()


# Applications that fail.


class FailingOpen(Echo):
    def on_open(self) -> None:
        raise ValueError("in vain")


class FailingMessage(Echo):
    def on_message(self, message: Any, *args: Any) -> None:
        raise ValueError("in vain")


class FailingClose(Echo):
    def on_close(self, *args: Any) -> None:
        raise ValueError("in vain")


def fail(ws: WebSocket) -> None:
    ws.receive()
    raise ValueError("in vain")


@pytest.mark.parametrize(
    "app, code",
    [
        (blocking(fail), 1011),
        (calling(FailingOpen), 1011),
        (calling(FailingMessage), 1011),
        (calling(FailingClose), 1000),
    ],
    ids=["blocking", "on_open", "on_message", "on_close"],
)
def test_an_application_that_fails(serve: Serving, app: Any, code: int) -> None:
    served = serve(app)
    peer = open_peer(served).text("x")
    if code == 1000:
        assert peer.receive() == "x"
        peer.close(1000)
    peer.expect_close(code)
    served.until(websockets=0, connections=0)
    assert served.log.count("ValueError: in vain") == 1
    assert served.log.count("Traceback") == 1


def test_an_application_that_fails_before_its_first_use(serve: Serving) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise ValueError("in vain")

    served = serve(app)
    client = served.connect().send(handshake() + GET)
    assert [client.response().status for _ in range(2)] == [500, 500]
    assert served.log.count("ValueError: in vain") == 2


@pytest.mark.parametrize("error", [WebSocketError, ConnectionResetError, StopIteration, GreenletExit])
def test_how_applications_end_when_the_peer_has_gone(serve: Serving, error: type[BaseException]) -> None:
    def use(ws: WebSocket) -> None:
        for _ in ws:
            pass
        raise error

    served = serve(blocking(use))
    open_peer(served).client.reset()
    is_gone(served)


@pytest.mark.parametrize("error", [FileNotFoundError, TimeoutError, ValueError])
def test_other_errors_are_reported_although_the_peer_has_gone(serve: Serving, error: type[Exception]) -> None:
    def use(ws: WebSocket) -> None:
        for _ in ws:
            pass
        raise error("in vain")

    served = serve(blocking(use))
    open_peer(served).client.reset()
    served.until(websockets=0)
    assert served.log.count("Traceback") == 1


def test_an_on_close_that_sends(serve: Serving) -> None:
    class Polite(Echo):
        def on_close(self, *args: Any) -> None:
            self.ws.send("good bye")

    served = serve(calling(Polite))
    open_peer(served).leave()
    is_gone(served)


# A server that stops.


@styles
def test_stop_closes_with_1001(serve: Serving, style: str) -> None:
    served = serve(ECHOES[style])
    peers = [open_peer(served) for _ in range(3)]
    stopping = gevent.spawn(served.server.stop, 5)
    for peer in peers:
        peer.expect_close(1001, "the server is stopping")
    with gevent.Timeout(1):
        stopping.get()
    is_gone(served)


@pytest.mark.parametrize("style", ["blocking", "callbacks", "taken"])
def test_stop_waits_for_the_application(serve: Serving, style: str) -> None:
    ends: list[str] = []

    def clean_up() -> None:
        try:
            gevent.sleep(0.1)
            ends.append("finished")
        except GreenletExit:
            ends.append("killed")

    class Slow(Echo):
        def on_close(self, *args: Any) -> None:
            clean_up()

    def take(environ: Any, start_response: Any) -> Any:
        taken = environ["gunicorn.socket"]
        taken.sendall(b"HTTP/1.1 101 Mine\r\n\r\n")
        assert taken.recv(1) == b""
        clean_up()
        return []

    apps = {"blocking": blocking(echo, lambda _: clean_up()), "callbacks": calling(Slow), "taken": take}
    served = serve(apps[style])
    client = open_peer(served).client
    stopping = gevent.spawn(served.server.stop, 5)
    if style != "taken":
        Peer(client).expect_close(1001)
    stopping.get()
    assert ends == ["finished"]
    is_gone(served)


@pytest.mark.parametrize("style", ["blocking", "callbacks"])
def test_stop_kills_after_its_time(serve: Serving, style: str) -> None:
    ends: list[BaseException] = []

    def hold() -> None:
        try:
            Event().wait()
        except BaseException as error:
            ends.append(error)
            raise

    class Held(Echo):
        def on_message(self, message: Any, *args: Any) -> None:
            hold()

    served = serve({"blocking": blocking(lambda ws: ws.receive(), lambda _: hold()), "callbacks": calling(Held)}[style])
    open_peer(served).text("x")
    settle()
    began = time.monotonic()
    served.server.stop(0.1)
    assert 0.09 < time.monotonic() - began < 1
    assert [type(each) for each in ends] == [GreenletExit]
    served.until(websockets=0, connections=0)
    assert "Traceback" not in served.log


def test_a_websocket_that_is_accepted_while_the_server_stops(serve: Serving) -> None:
    go_on = Event()
    served = serve(blocking(lambda _: go_on.wait(), echo))
    client = served.connect().send(handshake())
    served.until(in_flight=1)
    stopping = gevent.spawn(served.server.stop, 5)
    wait_until(lambda: served.server.closed)
    settle()
    go_on.set()
    Peer(client).opened().expect_close(1001)
    stopping.get()
    is_gone(served)


def test_stop_is_called_by_a_callback(serve: Serving) -> None:
    class Stopping(Echo):
        def on_message(self, message: Any, *args: Any) -> None:
            if message == "stop":
                self.ws.handler.server.stop(5)

    served = serve(calling(Stopping))
    open_peer(served).text("stop").expect_close(1001)
    is_gone(served)


# Limits, counters, and what is left.


def test_an_open_websocket_is_no_request_in_flight(serve: Serving) -> None:
    served = serve(ECHOES["blocking"], max_in_flight=1, max_queued=0)
    peers = [open_peer(served) for _ in range(5)]
    assert served.server.statistics().in_flight == 0
    assert served.server.statistics().websockets == 5
    for peer in peers:
        peer.echo("x")
        peer.leave()
    is_gone(served)


def test_websockets_count_as_connections(serve: Serving) -> None:
    served = serve(ECHOES["blocking"], max_connections=2)
    first, second = open_peer(served), open_peer(served)
    third = served.connect().send(handshake())
    settle()
    assert third.is_silent()
    first.echo("x")
    second.leave()
    Peer(third).opened().echo("x")


@styles
def test_nothing_refers_to_what_has_ended(serve: Serving, style: str) -> None:
    """Not even a cycle, but for the one that gevent-websocket's classes make with their protocols."""
    found: list[weakref.ref[Any]] = []
    app = ECHOES[style]

    def noting(environ: Any, start_response: Any) -> Any:
        found.append(weakref.ref(environ["wsgi.websocket"]))
        return app(environ, start_response)

    served = serve(noting)
    gc.disable()
    try:
        for _ in range(3):
            peer = open_peer(served)
            peer.echo("x")
            peer.leave()
        is_gone(served)
        settle()
        if style == "callbacks":
            gc.collect()
        assert [each() for each in found] == [None] * 3
    finally:
        gc.enable()


def test_thousands_come_and_go(serve: Serving) -> None:
    served = serve(ECHOES["callbacks"])
    greenlet = weakref.ref(getcurrent())

    def one_round(count: int) -> None:
        peers = [open_peer(served) for _ in range(count)]
        for peer in peers:
            peer.text("x")
        for peer in peers:
            assert peer.receive() == "x"
        for number, peer in enumerate(peers):
            peer.client.close() if number % 3 else peer.leave()
        served.clients.clear()
        is_gone(served)

    one_round(200)
    gc.collect()
    descriptors, before = len(os.listdir("/proc/self/fd")), resident()
    for _ in range(9):
        one_round(200)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert resident() - before < 4 << 20
    assert greenlet() is getcurrent()
