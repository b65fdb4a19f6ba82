"""gevent-websocket's server and handler: on hublet, and in front of it under gevent's own server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import geventwebsocket.handler
import geventwebsocket.server
import pytest
from gevent import get_hub
from gevent.pywsgi import WSGIServer as PywsgiServer
from hublet.patches.gevent_websocket import SERVERS
from hublet.servers.gevent_websocket import WebSocketHandler, WebSocketServer, servers_behind
from hublet.servers.server import WSGIServer

from tests.conftest import Client, Serving
from tests.servers.websocket.peer import ECHOES, Peer, blocking, echo, handshake, not_found


def choosing(environ: dict[str, Any], start_response: Any) -> Any:
    return (ECHOES["callbacks"] if "wsgi.websocket" in environ else not_found)(environ, start_response)


@pytest.fixture
def thread_pool() -> None:
    """Have the hub's thread pool, which gevent's server makes it begin, before `serve` looks at what there is."""
    get_hub().threadpool.apply(int)


@pytest.fixture
def patched() -> Iterator[None]:
    SERVERS.apply()
    yield
    SERVERS.undo()


def test_the_names_are_hublets_when_patched(patched: None) -> None:
    assert geventwebsocket.server.WebSocketServer is WebSocketServer
    assert geventwebsocket.WebSocketServer is WebSocketServer
    assert geventwebsocket.handler.WebSocketHandler is WebSocketHandler


def test_websocket_server(serve: Serving) -> None:
    server = WebSocketServer(("127.0.0.1", 0), choosing, log=None, error_log=io.StringIO(), debug=True)
    server.start()
    try:
        client = Client(server.address)
        assert client.get().status == 404
        peer = Peer(client.send(handshake())).opened()
        peer.echo("x")
        assert [each.address for each in server.clients.values()] == [client.socket.getsockname()]
        server.logger.debug("a logger")
        assert server.debug is True
        peer.leave()
    finally:
        server.stop(1)


def test_a_pre_start_hook_is_refused() -> None:
    with pytest.raises(TypeError, match="pre_start_hook"):
        WebSocketServer(("127.0.0.1", 0), choosing, pre_start_hook=print)


@pytest.mark.parametrize("handler", [geventwebsocket.handler.WebSocketHandler, WebSocketHandler])
def test_the_handler_class_is_accepted(serve: Serving, handler: type) -> None:
    served = serve(choosing, {"handler_class": handler})
    Peer(served.connect().send(handshake())).opened().leave()


def test_other_handler_classes_are_refused() -> None:
    with pytest.raises(TypeError, match="handler_class"):
        WSGIServer(("127.0.0.1", 0), choosing, handler_class=int)


@pytest.mark.parametrize("app", [choosing, lambda e, s: (blocking(echo) if "wsgi.websocket" in e else not_found)(e, s)])
def test_the_handler_under_gevents_server(thread_pool: None, serve: Serving, app: Any) -> None:
    """Connections are passed to a hublet server behind it, and live on when the handler has returned."""
    errors = io.StringIO()
    front = PywsgiServer(("127.0.0.1", 0), app, log=None, error_log=errors, handler_class=WebSocketHandler)
    front.start()
    try:
        clients = [Client(front.address) for _ in range(3)]
        for client in clients:
            assert client.get().status == 404
            peer = Peer(client.send(handshake())).opened()
            peer.echo("x")
        assert servers_behind[front].statistics().websockets == 3
        for client in clients:
            client.close()
    finally:
        front.stop(1)
        servers_behind[front].stop(1)
    assert errors.getvalue() == ""
