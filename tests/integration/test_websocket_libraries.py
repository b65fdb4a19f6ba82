"""Applications of every WebSocket library, unmodified behind the real command, with the clients that people use.

Those that echo do the same in all libraries (tests/integration/websocket_apps). A library either uses the server's
WebSocket, `wsgi.websocket`, or takes the socket and speaks the protocol itself. After each test no connection may be
left in the server, and nothing in its log that looks like an error.
"""

from __future__ import annotations

import json
import queue
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import engineio
import pytest
import socketio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from .served_process import PATIENCE, ServedProcess, wait_until

APPS = "tests.integration.websocket_apps"
ECHOES = {
    "flask-sock": [f"{APPS}.flask_sock_app:app"],
    "flask-sock-pings": [f"{APPS}.flask_sock_app:pinging_app"],
    "simple-websocket": [f"{APPS}.simple_websocket_app:app"],
    "flask-sockets": [f"{APPS}.flask_sockets_app:app", "--websocket-hide-upgrade"],
    "gevent-websocket": [f"{APPS}.gevent_websocket_app:app"],
    "django": [f"{APPS}.django_app:application"],
    "bottle": [f"{APPS}.bottle_app:app"],
}
MODES = ["gevent", "threading"]
TRANSPORTS = {"websocket": ["websocket"], "upgrade": ["polling", "websocket"]}

Start = Callable[..., ServedProcess]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start each application once: `start(target, *options)`; all must stop in order at the end."""
    started: dict[tuple[str, ...], ServedProcess] = {}

    def once(*arguments: str) -> ServedProcess:
        if arguments not in started:
            started[arguments] = ServedProcess(tmp_path_factory.mktemp("served"), *arguments)
        return started[arguments]

    try:
        yield once
        for each in started.values():
            each.stop()
    finally:
        for each in started.values():
            each.kill()


@pytest.fixture(params=ECHOES)
def site(request: pytest.FixtureRequest, start: Start) -> Iterator[ServedProcess]:
    """Each of the applications that echo in turn, at rest afterwards."""
    served = start(*ECHOES[request.param])
    yield served
    served.expect_rest()


def dial(site: ServedProcess, path: str = "/echo", **options: Any) -> ClientConnection:
    """Connect; to be used as a context manager."""
    client: ClientConnection = connect(
        f"ws://{site.authority}{path}", open_timeout=PATIENCE, close_timeout=PATIENCE, **options
    )
    return client


def close_code(client: ClientConnection) -> int:
    """Wait for the server to close the connection; return its code."""
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(PATIENCE)
    assert closed.value.rcvd, closed.value
    return closed.value.rcvd.code


def open_raw(site: ServedProcess, behind: bytes = b"") -> socket.socket:
    """A connection on which the handshake of a WebSocket has been sent, with something right behind it."""
    raw = socket.create_connection(("127.0.0.1", site.port), PATIENCE)
    head = f"GET /echo HTTP/1.1\r\nHost: {site.authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    raw.sendall(head.encode() + behind)
    return raw


def read_until(raw: socket.socket, end: bytes) -> bytes:
    """What is received up to `end`."""
    received = b""
    while end not in received:
        data = raw.recv(65536)
        assert data, received
        received += data
    return received


# --- Libraries whose applications echo ---

MESSAGES: list[str | bytes] = ["hello", "", "Grüße, 世界 🌍", "x" * 100_000, b"", bytes(range(256)) * 300]


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_come_back_as_they_were(site: ServedProcess, compression: Any) -> None:
    with dial(site, compression=compression) as client:
        for message in MESSAGES:
            client.send(message)
            assert client.recv(PATIENCE) == message


# With pings of its own, simple-websocket waits for the descriptor before it reads; clients must not do this anyway.
@pytest.mark.parametrize("site", sorted(set(ECHOES) - {"flask-sock-pings"}), indirect=True)
def test_a_message_right_behind_the_handshake_is_not_lost(site: ServedProcess) -> None:
    """The server reads it together with the request, so whoever speaks the protocol has to be given it."""
    with open_raw(site, b"\x81\x82\0\0\0\0hi") as raw:
        received = read_until(raw, b"\x81\x02hi")
    assert received.startswith(b"HTTP/1.1 101 ")
    assert received.count(b"HTTP/1.1 101 ") == 1


def test_the_client_closes(site: ServedProcess) -> None:
    with dial(site) as client:
        client.close(1000, "enough")
    assert client.close_code == 1000


def test_the_application_ends(site: ServedProcess) -> None:
    with dial(site) as client:
        client.send("stop")
        assert close_code(client) == 1000


def test_a_client_that_vanishes(site: ServedProcess) -> None:
    """By a reset, as when a process dies; the application finds out when it waits for the next message."""
    with open_raw(site) as raw:
        read_until(raw, b"\r\n\r\n")
        raw.sendall(b"\x81\x82\0\0\0\0hi")
        read_until(raw, b"\x81\x02hi")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_many_connections_at_once(site: ServedProcess) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(dial(site)) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(str(number))
        assert site.get() == "plain"
        assert [client.recv(PATIENCE) for client in reversed(clients)] == [str(each) for each in reversed(range(20))]


def test_requests_for_other_paths_are_answered_as_http(site: ServedProcess) -> None:
    assert site.get() == "plain"


@pytest.mark.parametrize("site", sorted(set(ECHOES) - {"gevent-websocket"}), indirect=True)
def test_a_websocket_where_there_is_none(site: ServedProcess) -> None:
    """gevent-websocket is left out: its Resource raises an exception for a path that it does not know."""
    with pytest.raises(InvalidStatus) as refused:
        dial(site, "/elsewhere")
    # Plain WSGI answers every other path; the frameworks know none of that name.
    assert refused.value.response.status_code in (200, 404)


def test_flask_sock_sends_its_pings(start: Start) -> None:
    site = start(*ECHOES["flask-sock-pings"])
    with open_raw(site) as raw:
        read_until(raw, b"\x89\x00")
        # It is not answered, so the library closes the connection.
        assert b"\x03\xf0Ping/Pong timeout" in read_until(raw, b"timeout")
    site.expect_rest()


# --- gevent-websocket beyond the echo ---


def test_a_gevent_websocket_broadcast(start: Start) -> None:
    site = start(*ECHOES["gevent-websocket"])
    hear: Callable[[ClientConnection], Any] = lambda client: json.loads(client.recv(PATIENCE))  # noqa: E731
    with dial(site, "/chat") as ann:
        assert hear(ann) == ["came", 1]
        ann.send(json.dumps("I am Ann"))
        assert hear(ann) == ["Ann", "I am Ann", ["Ann"]]
        with dial(site, "/chat") as bob:
            assert hear(ann) == hear(bob) == ["came", 2]
            bob.send(json.dumps("I am Bob"))
            assert hear(ann) == hear(bob) == ["Bob", "I am Bob", ["Ann", "Bob"]]
        assert hear(ann) == ["went", "Bob"]
    site.expect_rest()


def test_servers_that_an_application_starts_by_gevent_websockets_names(start: Start) -> None:
    site = start(f"{APPS}.gevent_websocket_servers:app")
    found = json.loads(site.get())
    assert found["names"] == ["hublet.servers.gevent_websocket"] * 2
    for port in found["ports"]:
        with connect(f"ws://127.0.0.1:{port}/echo") as client:
            for message in MESSAGES:
                client.send(message)
                assert client.recv(PATIENCE) == message
            assert client.response
            assert client.response.headers["Server"] == "hublet"
            client.send("stop")
            assert close_code(client) == 1000
    site.expect_rest()


# --- Flask-SocketIO and python-engineio, with their own clients ---


@pytest.fixture(params=TRANSPORTS)
def transports(request: pytest.FixtureRequest) -> list[str]:
    """A WebSocket from the start, or polling and then the upgrade to one."""
    return TRANSPORTS[request.param]


class SocketIOClient(socketio.SimpleClient):  # type: ignore[misc]
    """The client of python-socketio, connected; what it asks for must be a WebSocket in the end."""

    def __init__(self, site: ServedProcess, transports: list[str]) -> None:
        super().__init__()
        self.connect(f"http://{site.authority}", transports=transports)
        wait_until(lambda: self.transport == "websocket", lambda: f"{self.transport}; {site.log}")


@pytest.mark.parametrize("mode", MODES)
def test_flask_socketio(start: Start, mode: str, transports: list[str]) -> None:
    site = start(f"{APPS}.flask_socketio_app:{mode}_app")
    with SocketIOClient(site, transports) as ann, SocketIOClient(site, transports) as bob:
        for message in ("hello", "Grüße, 世界 🌍", {"deep": [1, None]}, "x" * 50_000, b"\x00\xff" * 500):
            assert ann.call("echo", message, timeout=PATIENCE) == message
        ann.emit("join", "tea")
        assert ann.receive(timeout=PATIENCE) == ["joined", ann.sid]
        bob.emit("join", "tea")
        assert ann.receive(timeout=PATIENCE) == bob.receive(timeout=PATIENCE) == ["joined", bob.sid]
        assert site.get() == "plain"
    site.expect_rest()


@pytest.mark.parametrize("mode", MODES)
def test_flask_socketio_disconnects(start: Start, mode: str, transports: list[str]) -> None:
    site = start(f"{APPS}.flask_socketio_app:{mode}_app")
    gone: queue.Queue[str] = queue.Queue()
    client = socketio.Client(reconnection=False)
    client.on("disconnect", gone.put)
    client.connect(f"http://{site.authority}", transports=transports)
    client.emit("stop")
    assert gone.get(timeout=PATIENCE) == client.reason.SERVER_DISCONNECT
    site.expect_rest()  # without waiting for the client, whose writing thread takes ten seconds to notice


@pytest.mark.parametrize("mode", MODES)
def test_engineio(start: Start, mode: str, transports: list[str]) -> None:
    site = start(f"{APPS}.engineio_app:{mode}_app")
    heard: queue.Queue[Any] = queue.Queue()
    client = engineio.Client()
    client.on("message", heard.put)
    client.on("disconnect", heard.put)
    client.connect(f"http://{site.authority}", transports=transports)
    assert client.transport() == "websocket"
    for message in ("hello", "Grüße, 世界 🌍", b"\x00\xff" * 500):
        client.send(message)
        assert heard.get(timeout=PATIENCE) == message
    client.send("stop")
    assert heard.get(timeout=PATIENCE) == client.reason.SERVER_DISCONNECT
    site.expect_rest()
