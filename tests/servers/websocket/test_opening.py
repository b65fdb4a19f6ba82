"""From the request to the WebSocket: the delayed handshake, answers over HTTP, applications that take the socket."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event
from geventwebsocket.exceptions import WebSocketError
from hublet.runtime import limits
from hublet.servers.websocket.applications import websockets
from hublet.servers.websocket.websocket import WebSocket

from tests.conftest import GET, Serving, wait_until
from tests.servers.websocket.peer import (
    ACCEPT,
    DEFLATE,
    ECHOES,
    Echo,
    Peer,
    blocking,
    echo,
    handshake,
    not_found,
    open_peer,
    settle,
)
from tests.servers.websocket.streams import TEXT, frame

MINE = b"HTTP/1.1 101 Mine\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SOON = 0.05


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept in the application's place after a shorter moment."""
    monkeypatch.setattr(limits, "WEBSOCKET_ACCEPT_DELAY", SOON)


# The handshake.


def test_the_answer(serve: Serving) -> None:
    response = open_peer(serve(ECHOES["blocking"])).response
    assert (response.status, response.reason, response.body) == (101, "Switching Protocols", b"")
    assert sorted(response.fields) == sorted(
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", ACCEPT),
            ("Server", "hublet"),
        ]
    )


@pytest.mark.parametrize(
    "use",
    [
        lambda ws: ws.receive(),
        lambda ws: ws.send("x"),
        lambda ws: ws.ping(),
        lambda ws: ws.closed,
        lambda ws: ws.close(),
    ],
)
def test_the_first_use_completes_the_handshake(serve: Serving, use: Any) -> None:
    go_on = Event()
    served = serve(blocking(lambda _: go_on.wait(), use))
    client = served.connect().send(handshake())
    served.until(in_flight=1)
    settle()
    assert client.is_silent()
    go_on.set()
    Peer(client).opened().close(1000)
    served.until(in_flight=0)


@pytest.mark.parametrize("offered, chosen", [("a", None), ("b", "b"), ("c, b", "c"), ("b, c", "c"), ("d, b", "d")])
def test_the_subprotocol(serve: Serving, offered: str, chosen: str | None) -> None:
    """Of the application, by the path, before those of the setting, in the order of preference of the server."""

    class App:
        def app_protocol(self, path: str) -> list[str]:
            return ["d"] if path == "/path" else []

        def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            echo(environ["wsgi.websocket"])
            return []

    served = serve(App(), websocket_subprotocols=("c", "b"))
    peer = open_peer(served, "/path", f"Sec-WebSocket-Protocol: {offered}")
    assert peer.response.all("Sec-WebSocket-Protocol") == ([] if chosen is None else [chosen])
    peer.leave()


def test_an_app_protocol_that_fails(serve: Serving) -> None:
    class App:
        def app_protocol(self, path: str) -> str:
            raise ValueError("in vain")

        def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            echo(environ["wsgi.websocket"])
            return []

    served = serve(App())
    client = served.connect().send(handshake("/", "Sec-WebSocket-Protocol: a"))
    assert client.response().status == 500
    assert served.log.count("ValueError: in vain") == 1
    Peer(client.send(handshake())).opened().leave()


@pytest.mark.parametrize("origins, status", [((), 403), (("https://other",), 101), (("*",), 101)])
def test_a_page_of_another_origin(serve: Serving, origins: tuple[str, ...], status: int) -> None:
    served = serve(ECHOES["blocking"], websocket_origins=origins)
    client = served.connect().send(handshake("/", "Origin: https://other"))
    assert client.response().status == status
    if status == 403:
        assert served.log.count("--websocket-origins") == 1
        assert "https://other" in served.log
        client.expect_end()
        assert served.server.statistics().rejected == 1
    else:
        assert served.log == ""


@pytest.mark.parametrize(
    "request_head, status",
    [
        (handshake().replace(b"13", b"8"), 426),
        (handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (handshake().replace(b"GET", b"POST"), 405),
        (handshake().replace(b"Connection: Upgrade", b"Connection: close"), 400),
    ],
    ids=["version", "HTTP/1.0", "POST", "Connection"],
)
def test_a_wrong_handshake_never_reaches_the_application(serve: Serving, request_head: bytes, status: int) -> None:
    served = serve(lambda environ, start_response: pytest.fail("it was called"))
    client = served.connect().send(request_head)
    response = client.response()
    assert response.status == status
    assert ("Sec-WebSocket-Version" in response) == (status == 426)
    client.expect_end()


# Answers over HTTP.


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def streaming(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"hel"
    gevent.sleep(0.001)
    yield b"lo"


@pytest.mark.parametrize(
    "app, status, body", [(not_found, 404, b"nothing here"), (hello, 200, b"hello"), (streaming, 200, b"hello")]
)
def test_an_answer_over_http(serve: Serving, app: Any, status: int, body: bytes) -> None:
    """The connection goes on with HTTP, and can still become a WebSocket."""

    def choosing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return (ECHOES["blocking"] if environ["PATH_INFO"] == "/ws" else app)(environ, start_response)

    served = serve(choosing)
    client = served.connect()
    for request in (handshake(), GET, handshake()):
        response = client.send(request).response()
        assert (response.status, response.body) == (status, body)
    peer = Peer(client.send(handshake("/ws"))).opened()
    peer.echo("x")
    peer.leave()
    served.until(connections=0, in_flight=0, websockets=0)
    assert served.server.statistics().accepted == 1
    assert served.log == ""


@pytest.mark.parametrize("use", ["receive", "send", "ping", "accept"])
def test_it_is_too_late_after_an_answer(serve: Serving, use: str) -> None:
    found: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        ws = environ["wsgi.websocket"]
        start_response("200 OK", [])
        yield b"hello"
        with pytest.raises(WebSocketError, match="answered as HTTP"):
            getattr(ws, use)(*(["x"] if use == "send" else []))
        with pytest.raises(WebSocketError):
            environ["gunicorn.socket"].recv(1)
        ws.close()
        found.append((ws.closed, ws.close_code))

    client = serve(app).connect().send(handshake())
    assert client.response().body == b"hello"
    assert found == [(True, None)]


@pytest.mark.parametrize("first", [b"", None])
def test_a_generator_that_uses_its_websocket(serve: Serving, first: bytes | None) -> None:
    """What it yields afterwards goes nowhere."""
    closed: list[bool] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        try:
            if first is not None:
                yield first
            for message in environ["wsgi.websocket"]:
                environ["wsgi.websocket"].send(message)
                start_response("200 OK", [("X", "y")])(b"ignored")
                yield b"ignored"
        finally:
            closed.append(True)

    served = serve(app)
    peer = open_peer(served)
    for number in range(3):
        peer.echo(str(number))
    peer.leave()
    served.until(websockets=0)
    assert closed == [True]
    assert served.log == ""


def test_a_request_that_ends_while_its_connection_is_killed(serve: Serving) -> None:
    """An application that survives being killed finds no WebSocket any more."""
    found: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            Event().wait()
        except GreenletExit:
            gevent.sleep(0)
        for use in (environ["wsgi.websocket"].accept, lambda: environ["gunicorn.socket"].recv(1)):
            with pytest.raises(WebSocketError):
                use()
        found.append(environ["wsgi.websocket"].closed)
        return []

    served = serve(app)
    served.connect().send(handshake())
    served.until(in_flight=1)
    served.server.stop(0.01)
    wait_until(lambda: found)
    assert found == [True]
    served.until(websockets=0, connections=0, in_flight=0)


# Applications that hold their WebSocket.


@pytest.mark.parametrize("early", [True, False], ids=["at once", "later"])
def test_an_application_that_only_holds_its_websocket(serve: Serving, soon: None, early: bool) -> None:
    room: list[WebSocket] = []
    done = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not early:
            gevent.sleep(3 * SOON)
        room.append(environ["wsgi.websocket"])
        done.wait()
        return []

    peer = open_peer(serve(app))
    room[0].send("to the room")
    assert peer.receive() == "to the room"
    done.set()
    peer.expect_close(1000)


def test_an_app_protocol_that_waits(serve: Serving, soon: None) -> None:
    """In the application's greenlet or, where the application only holds its WebSocket, in another."""
    done = Event()

    class App:
        def app_protocol(self, path: str) -> str:
            gevent.sleep(2 * SOON)
            return path[1:]

        def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            ws = environ["wsgi.websocket"]
            if ws.path == "/used":
                echo(ws)
            else:
                done.wait()
            return []

    served = serve(App())
    for path in ("/used", "/held"):
        peer = open_peer(served, path, "Sec-WebSocket-Protocol: used, held")
        assert peer.response["Sec-WebSocket-Protocol"] == path[1:]
        peer.close(1000)
    done.set()


@pytest.mark.parametrize("mounted", [False, True])
def test_an_answer_that_takes_long_is_still_http(serve: Serving, soon: None, mounted: bool) -> None:
    def slow(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        gevent.sleep(3 * SOON)
        return not_found(environ, start_response)

    served = serve(websockets({"/mounted": Echo}, slow) if mounted else slow)
    assert served.connect().send(handshake()).response().status == 404


def test_a_request_that_waits_for_admission(serve: Serving, soon: None) -> None:
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "wsgi.websocket" in environ:
            return ECHOES["blocking"](environ, start_response)
        go_on.wait()
        return not_found(environ, start_response)

    served = serve(app, max_in_flight=1)
    served.connect().send(GET)
    served.until(in_flight=1)
    client = served.connect().send(handshake())
    leaving = served.connect().send(handshake())
    served.until(queued=2)
    leaving.reset()
    served.until(queued=1)
    gevent.sleep(2 * SOON)
    go_on.set()
    Peer(client).opened().leave()


# Applications that take the socket.


def taking(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Echoes bytes, not frames, on a socket that it has taken."""
    taken = environ["gunicorn.socket"]
    taken.sendall(MINE)
    while data := taken.recv(100):
        taken.sendall(data.upper())
    return []


def test_a_taken_socket(serve: Serving) -> None:
    """Nothing is written but what the application writes, before and after; what had arrived already is not lost."""
    served = serve(taking)
    client = served.connect().send(handshake() + b"glued ")
    assert client.response().reason == "Mine"
    client.send(b"later").end()
    client.expect_end() if not client.received else None
    assert client.rest() in (b"GLUED LATER", b"")
    served.until(connections=0, websockets=0, in_flight=0)
    assert served.log == ""


def test_the_connection_ends_when_the_application_returns(serve: Serving) -> None:
    kept: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        kept.append(environ["gunicorn.socket"])
        kept[0].sendall(b"all")
        return [b"no more"]

    served = serve(app)
    assert served.connect().send(handshake()).rest() == b"all"
    served.until(connections=0, websockets=0)
    with pytest.raises(OSError):
        kept[0].send(b"x")


def test_a_taken_socket_counts_as_a_websocket(serve: Serving) -> None:
    served = serve(taking, max_in_flight=1, max_queued=0)
    clients = [served.connect().send(handshake()) for _ in range(3)]
    for client in clients:
        assert client.response().status == 101
    assert served.server.statistics().websockets == 3
    assert served.server.statistics().in_flight == 0
    for client in clients:
        client.close()
    served.until(websockets=0, connections=0)


def test_bytes_that_had_arrived_come_piece_by_piece(serve: Serving) -> None:
    pieces: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        taken = environ["gunicorn.socket"]
        buffer = bytearray(3)
        pieces.extend([taken.recv(2), taken.recv_into(buffer), bytes(buffer), taken.recv(100), taken.recv(100)])
        return []

    serve(app).connect().send(handshake() + b"abcdefgh").end().expect_end()
    assert pieces == [b"ab", 3, b"cde", b"fgh", b""]


@pytest.mark.parametrize("error", [StopIteration, ConnectionResetError, OSError, GreenletExit, None])
def test_how_takers_tell_that_there_is_no_response(serve: Serving, error: type[BaseException] | None) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        environ["gunicorn.socket"].sendall(MINE)
        if error is not None:
            raise error
        return None

    served = serve(app)
    client = served.connect().send(handshake())
    assert client.response().reason == "Mine"
    client.expect_end()
    served.until(connections=0)
    assert served.log == ""


def test_an_application_that_fails_after_taking_the_socket(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["gunicorn.socket"].sendall(MINE)
        raise ValueError("in vain")

    served = serve(app)
    client = served.connect().send(handshake())
    assert client.response().reason == "Mine"
    client.expect_end()
    assert served.log.count("ValueError: in vain") == 1


def test_the_websocket_is_gone_when_the_socket_has_been_taken(serve: Serving) -> None:
    found: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["gunicorn.socket"].sendall(MINE)
        with pytest.raises(WebSocketError, match="taken over"):
            environ["wsgi.websocket"].receive()
        environ["wsgi.websocket"].close()
        found.append(environ["wsgi.websocket"].closed)
        return []

    serve(app).connect().send(handshake()).response()
    assert found == [True]


def test_the_socket_is_gone_when_the_websocket_has_been_used(serve: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        taken, ws = environ["gunicorn.socket"], environ["wsgi.websocket"]
        ws.send("used")
        with pytest.raises(WebSocketError):
            taken.recv(1)
        assert "gunicorn.socket" not in environ
        echo(ws)
        return []

    peer = open_peer(serve(app))
    assert peer.receive() == "used"
    peer.leave()


def test_looking_does_not_take_the_socket(serve: Serving) -> None:
    """What debuggers and middleware do with an environ."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        taken = environ["gunicorn.socket"]
        assert repr(taken) == str(taken)
        assert not hasattr(taken, "__html__")
        assert copy.copy(environ)["gunicorn.socket"] is taken
        json.dumps(environ, default=str)
        return not_found(environ, start_response)

    assert serve(app).connect().send(handshake()).response().status == 404


# The access log.


def test_the_access_log_has_a_line_for_an_upgrade(serve: Serving) -> None:
    log = io.StringIO()
    served = serve(ECHOES["blocking"], {"log": log})
    peer = open_peer(served, "/path", DEFLATE)
    assert log.getvalue().count("\n") == 1
    assert '"GET /path HTTP/1.1" 101 ' in log.getvalue()
    peer.send(frame(TEXT, b"x")).close(1000)
    peer.receive()
    peer.client.close()
    served.until(connections=0)
    assert log.getvalue().count("\n") == 1


def test_an_environ_of_an_open_websocket(serve: Serving) -> None:
    """`wsgi.input` is empty, and nobody can close it for others."""
    found: list[bytes] = []

    def use(ws: WebSocket) -> None:
        ws.accept()
        found.append(ws.environ["wsgi.input"].read())
        ws.environ["wsgi.input"].close()

    served = serve(blocking(use))
    for _ in range(2):
        open_peer(served).expect_close(1000)
    assert found == [b"", b""]


def test_an_application_that_has_nothing_to_say_is_connected_and_closed(serve: Serving) -> None:
    served = serve(blocking())
    open_peer(served).expect_close(1000)
    served.until(connections=0, websockets=0)
    assert served.log == ""


def test_a_body_without_start_response_is_still_an_error(serve: Serving) -> None:
    client = serve(lambda environ, start_response: [b"?"]).connect().send(handshake())
    assert client.response().status == 500
    assert "before it called start_response" in serve.all[0].log
