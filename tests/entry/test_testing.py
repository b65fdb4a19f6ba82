"""`hublet.testing.WebSocketClient`: an application's WebSocket in a test, without a port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import gevent
import pytest
from hublet.runtime.errors import HandshakeRefused
from hublet.servers.server import WSGIServer
from hublet.testing import WebSocketClient

from tests.conftest import Serving
from tests.servers.websocket.peer import ECHOES, blocking, not_found

pytestmark = pytest.mark.usefixtures("serve")  # which fails for what is left behind
styles = pytest.mark.parametrize("style", ECHOES)


@styles
@pytest.mark.parametrize(
    "message", ["", "grüße", "x" * 200_000, b"", b"bytes", bytes(200_000)], ids=lambda m: f"{type(m).__name__} {len(m)}"
)
def test_messages(style: str, message: str | bytes) -> None:
    with WebSocketClient(ECHOES[style]) as client:
        client.send(message)
        received = client.receive()
    assert received == message
    assert type(received) is (str if isinstance(message, str) else bytearray)


@styles
def test_the_application_closes(style: str) -> None:
    def use(ws: Any) -> None:
        for number in range(3):
            ws.send(str(number))
        ws.close(4000, "enough")

    client = WebSocketClient(blocking(use))
    assert list(client) == ["0", "1", "2"]
    assert (client.close_code, client.close_reason) == (4000, "enough")
    assert client.receive() is None
    client.close()
    client.close()


def test_the_client_closes() -> None:
    ends: list[Any] = []

    def use(ws: Any) -> None:
        assert list(ws) == ["last"]
        ends.append((ws.close_code, ws.close_reason))

    client = WebSocketClient(blocking(use))
    client.send("last")
    client.close(4001, "bye")
    assert ends == [(4001, "bye")]
    assert client.close_code == 4001


def test_what_the_application_sees_of_the_request() -> None:
    seen: list[Any] = []

    def use(ws: Any) -> None:
        ws.accept()
        get = ws.environ.get
        seen.extend([ws.path, get("QUERY_STRING"), get("HTTP_COOKIE"), get("HTTP_HOST"), ws.handler.client_address])

    with WebSocketClient(blocking(use), "/room?name=Ada", headers={"Cookie": "a=b"}) as client:
        assert client.receive() is None
    assert seen == ["/room", "name=Ada", "a=b", "testserver", ("127.0.0.1", 50000)]


def test_subprotocols_and_settings() -> None:
    with WebSocketClient(ECHOES["blocking"], subprotocols=["b", "a"], websocket_subprotocols=("a", "b")) as client:
        assert client.subprotocol == "a"
    with WebSocketClient(ECHOES["blocking"], websocket_max_message=10) as client:
        assert client.subprotocol is None
        client.send("x" * 11)
        assert client.receive() is None
        assert client.close_code == 1009


@pytest.mark.parametrize("style", ["whole", "in chunks"])
def test_a_refusal(style: str) -> None:
    def in_chunks(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("404 Not Found", [("X-Name", "value")])
        yield b"nothing "
        gevent.sleep(0.01)
        yield b"here"

    def whole(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("404 Not Found", [("X-Name", "value")])
        return [b"nothing here"]

    with pytest.raises(HandshakeRefused) as refused:
        WebSocketClient({"whole": whole, "in chunks": in_chunks}[style])
    assert (refused.value.status, refused.value.body) == (404, b"nothing here")
    assert refused.value.headers["x-name"] == "value"


def test_a_refusal_by_the_server() -> None:
    with pytest.raises(HandshakeRefused, match="--websocket-origins") as refused:
        WebSocketClient(ECHOES["blocking"], headers={"Origin": "https://other"})
    assert refused.value.status == 403


def test_waiting_too_long() -> None:
    with WebSocketClient(ECHOES["blocking"], timeout=5) as client:
        with pytest.raises(TimeoutError, match="no message within 0.01 s"):
            client.receive(timeout=0.01)
        client.send("still usable")
        assert client.receive() == "still usable"
    with pytest.raises(TimeoutError, match="no answer to the handshake within 0.05 s"):
        WebSocketClient(
            lambda environ, start_response: gevent.sleep(0.2) or not_found(environ, start_response), timeout=0.05
        )


def test_pings_are_answered() -> None:
    def use(ws: Any) -> None:
        ws.ping(b"there?")
        ws.send("pinged")
        ws.receive()

    with WebSocketClient(blocking(use), websocket_ping_interval=0.01, websocket_pong_timeout=0.1) as client:
        assert client.receive() == "pinged"
        for _ in range(4):
            with pytest.raises(TimeoutError):
                client.receive(timeout=0.05)
        assert client.close_code is None


def test_several_clients_of_one_server() -> None:
    server = WSGIServer([], ECHOES["callbacks"], log=None)
    server.start()
    with WebSocketClient(server) as first, WebSocketClient(server) as second:
        for client in (first, second):
            client.send("x")
            assert client.receive() == "x"
        assert server.statistics().websockets == 2
    assert server.started
    server.stop(1)


def test_the_server_goes_away(serve: Serving) -> None:
    server = WSGIServer([], ECHOES["callbacks"], log=None)
    server.start()
    client = WebSocketClient(server)
    stopping = gevent.spawn(server.stop, 5)
    assert client.receive() is None
    assert client.close_code == 1001
    client.close()
    stopping.get()
