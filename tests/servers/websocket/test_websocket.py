"""The object in `environ["wsgi.websocket"]`: attributes and methods, as gevent-websocket's applications use them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.handler import Client
from geventwebsocket.websocket import WebSocket as GeventWebSocket
from hublet.servers.websocket.websocket import WebSocket

from tests.conftest import Served, Serving, wait_until
from tests.servers.websocket.peer import ECHOES, Peer, blocking, handshake, open_peer
from tests.servers.websocket.streams import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

FIELDS = ["Origin: http://x", "Sec-WebSocket-Protocol: offered"]


class Held:
    """An application that shows its WebSocket, accepted, to the test, until `done` is set."""

    def __init__(self, served: Callable[[Any], Served], *fields: str) -> None:
        self.done = Event()
        self.found: list[WebSocket] = []
        self.served = served(blocking(self.hold))
        self.peer = open_peer(self.served, "/path", *fields)
        self.ws = self.found[0]

    def hold(self, ws: WebSocket) -> None:
        ws.accept()
        self.found.append(ws)
        self.done.wait()


@pytest.fixture
def held(serve: Serving) -> Any:
    each = Held(serve, *FIELDS)
    yield each
    each.done.set()


def test_what_it_is(held: Held) -> None:
    ws = held.ws
    assert isinstance(ws, GeventWebSocket)
    assert (ws.OPCODE_TEXT, ws.OPCODE_BINARY, ws.OPCODE_PING) == (TEXT, BINARY, PING)
    assert weakref.ref(ws)() is ws
    assert repr(ws).startswith("<WebSocket /path from ('127.0.0.1', ")
    assert repr(ws).endswith(": open>")
    assert len({ws, ws}) == 1


def test_attributes_of_the_request(held: Held) -> None:
    ws = held.ws
    assert (ws.path, ws.origin, ws.version, ws.protocol) == ("/path", "http://x", "13", "offered")
    assert ws.environ["wsgi.websocket"] is ws
    assert ws.environ["wsgi.websocket_version"] == "13"
    assert (ws.closed, ws.close_code, ws.close_reason) == (False, None, None)


def test_the_handler_and_the_clients(held: Held) -> None:
    ws, server = held.ws, held.served.server
    port = held.peer.client.socket.getsockname()[1]
    handler = ws.handler
    assert handler is ws.handler
    assert handler.server is server
    assert handler.application is server.application
    assert handler.environ is ws.environ
    assert handler.client_address == ("127.0.0.1", port)
    assert handler.websocket is ws
    handler.active_client.nickname = "Ada"
    client = server.clients[("127.0.0.1", port)]
    assert isinstance(client, Client)
    assert (client.ws, client.address, client.nickname) == (ws, ("127.0.0.1", port), "Ada")
    assert list(server.clients) == [client.address]
    assert list(server.clients.items()) == [(client.address, client)]
    assert len(server.clients) == 1
    ws.logger.debug("a logger")
    handler.logger.debug("a logger")


def test_clients_come_and_go(serve: Serving) -> None:
    served = serve(ECHOES["callbacks"])
    assert len(served.server.clients) == 0
    peers = [open_peer(served) for _ in range(3)]
    addresses = [peer.client.socket.getsockname() for peer in peers]
    assert list(served.server.clients) == addresses
    peers[1].leave()
    served.until(websockets=2)
    assert list(served.server.clients) == [addresses[0], addresses[2]]
    with pytest.raises(KeyError):
        served.server.clients[addresses[1]]


def test_after_the_end(held: Held) -> None:
    ws, environ = held.ws, held.ws.environ
    held.peer.close(4000, "bye")
    wait_until(lambda: ws.closed)
    assert (ws.close_code, ws.close_reason, ws.path, ws.origin) == (4000, "bye", "/path", "http://x")
    assert repr(ws).endswith(": closed>")
    held.done.set()
    held.peer.client.close()
    held.served.until(websockets=0)
    assert environ["wsgi.websocket"] is None
    assert ws.close_code == 4000
    for use in (ws.receive, lambda: ws.send("x"), ws.ping, lambda: ws.send_frame(b"", PING)):
        found = None
        try:
            found = use()
        except WebSocketError as error:
            found = error
        assert found is None or isinstance(found, WebSocketError)
    ws.close()
    ws.close(4001)
    assert ws.close_code == 4000


@pytest.mark.parametrize("message", [b"", b"x", b"x" * 125, "grüße"])
def test_ping(held: Held, message: bytes | str) -> None:
    held.ws.ping(message)
    assert held.peer.event() == ("ping", message.encode() if isinstance(message, str) else message)


@pytest.mark.parametrize("message, error", [(b"x" * 126, ValueError), ("ü" * 63, ValueError), (None, TypeError)])
def test_pings_that_cannot_be_sent(held: Held, message: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        held.ws.ping(message)
    held.ws.send("fine")
    assert held.peer.receive() == "fine"


@pytest.mark.parametrize(
    "opcode, message, expected",
    [
        (TEXT, "text", ("message", "text")),
        (BINARY, b"bytes", ("message", bytearray(b"bytes"))),
        (PING, b"p", ("ping", b"p")),
        (PING, None, ("ping", b"")),
        (CLOSE, b"\x0f\xa0bye", ("close", 4000, "bye")),
        (CLOSE, b"", ("close", 1000, "")),
    ],
)
def test_send_frame(held: Held, opcode: int, message: Any, expected: tuple[Any, ...]) -> None:
    held.ws.send_frame(b"ignored", PONG)
    held.ws.send_frame(message, opcode)
    assert held.peer.event() == expected


@pytest.mark.parametrize("opcode", [CONTINUATION, 3, 15, None])
def test_opcodes_that_are_not_sent(held: Held, opcode: Any) -> None:
    with pytest.raises(ValueError):
        held.ws.send_frame(b"x", opcode)


@pytest.mark.parametrize("reason", ["grüße", "grüße".encode(), bytearray(b"bytes"), "", None])
def test_close_reasons(held: Held, reason: Any) -> None:
    held.ws.close(4000, reason)
    expected = bytes(reason).decode() if isinstance(reason, (bytes, bytearray)) else reason or ""
    assert held.peer.event() == ("close", 4000, expected)
    assert (held.ws.close_code, held.ws.close_reason) == (4000, expected)


@pytest.mark.parametrize("code, error", [("1000", TypeError), (999, ValueError), (2**70, (ValueError, OverflowError))])
def test_close_codes_that_are_refused(held: Held, code: Any, error: Any) -> None:
    with pytest.raises(error):
        held.ws.close(code)
    assert not held.ws.closed


def test_iteration_ends_with_the_connection(serve: Serving) -> None:
    found: list[Any] = []

    def use(ws: WebSocket) -> None:
        found.extend(ws)
        found.append("end")

    open_peer(serve(blocking(use))).text("").text("a").leave()
    wait_until(lambda: "end" in found)
    assert found == ["", "a", "end"]


def test_two_greenlets_use_it_first_at_the_same_time(serve: Serving) -> None:
    """One handshake comes of it, although choosing the subprotocol waits."""

    class App:
        def app_protocol(self, path: str) -> str:
            gevent.sleep(0.01)
            return "a"

        def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
            ws = environ["wsgi.websocket"]
            gevent.joinall([gevent.spawn(ws.send, str(number)) for number in range(3)], raise_error=True)
            return []

    peer = Peer(serve(App()).connect().send(handshake("/", "Sec-WebSocket-Protocol: a"))).opened()
    assert sorted(map(str, peer.receive_all(3))) == ["0", "1", "2"]
    peer.expect_close(1000)
