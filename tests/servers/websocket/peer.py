"""A WebSocket client of raw frames, and applications for it, which the tests of this folder share."""

from __future__ import annotations

import os
import socket as blocking_socket
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from geventwebsocket.resource import WebSocketApplication
from hublet.servers.websocket.applications import websockets
from hublet.servers.websocket.frames import MessageReader, encode_close
from hublet.servers.websocket.websocket import WebSocket

from tests.conftest import Application, Client, Served
from tests.servers.websocket.streams import BINARY, CLOSE, PING, PONG, TEXT, Inflater, deflate, frame

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3, with its answer
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"

END, RESET = ("end",), ("reset",)


def handshake(path: str = "/", *fields: str) -> bytes:
    """The request of an opening handshake."""
    usual = ["Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    return "\r\n".join([f"GET {path} HTTP/1.1", *usual, f"Sec-WebSocket-Key: {KEY}", *fields, "", ""]).encode("latin-1")


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    return frame(CLOSE, encode_close(code, reason))


class Peer:
    """The client's end of one WebSocket. It answers nothing by itself."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.inflater = Inflater()
        self.reader = MessageReader(0, self.inflater, from_client=False)
        self.events: list[tuple[Any, ...]] = []

    def opened(self) -> Peer:
        """Read the answer to the handshake, which must accept it."""
        self.response = self.client.response()
        assert (self.response.status, self.response.body) == (101, b"")
        return self

    # What it sends.

    def send(self, data: bytes) -> Peer:
        """Send bytes as they are."""
        self.client.send(data)
        return self

    def text(self, message: str, *, compressed: bool = False) -> Peer:
        """Send a text message in one frame."""
        return self.message(TEXT, message.encode(), compressed)

    def binary(self, message: bytes, *, compressed: bool = False) -> Peer:
        """Send a binary message in one frame."""
        return self.message(BINARY, message, compressed)

    def message(self, opcode: int, payload: bytes, compressed: bool) -> Peer:
        """Send a message in one frame, on its own if it is compressed."""
        return self.send(frame(opcode, deflate(payload) if compressed else payload, rsv1=compressed))

    def ping(self, payload: bytes = b"") -> Peer:
        return self.send(frame(PING, payload))

    def pong(self, payload: bytes = b"") -> Peer:
        return self.send(frame(PONG, payload))

    def close(self, code: int | None = None, reason: str = "") -> Peer:
        return self.send(close_frame(code, reason))

    def send_until_stalled(self, data: bytes) -> int:
        """Send what the server takes of `data` before it has stopped reading; returns the number of bytes."""
        sent = quiet = 0
        self.client.socket.setsockopt(blocking_socket.SOL_SOCKET, blocking_socket.SO_SNDBUF, 8192)
        while sent < len(data) and quiet < 50:
            try:
                sent += self.client.socket._sock.send(data[sent : sent + (1 << 16)], blocking_socket.MSG_DONTWAIT)
                quiet = 0
            except BlockingIOError:
                quiet += 1
            gevent.idle()
        return sent

    # What it gets.

    def event(self) -> tuple[Any, ...]:
        """The next event: those of `MessageReader.feed`, then END or RESET."""
        while not self.events:
            if self.client.received:
                data, self.client.received = self.client.received, b""
            else:
                try:
                    data = self.client.socket.recv(1 << 18)
                except ConnectionResetError:
                    return RESET
                if not data:
                    return END
            self.events = self.reader.feed(data)
        return self.events.pop(0)

    def receive(self) -> str | bytearray:
        """The next event, which must be a message."""
        kind, *content = self.event()
        assert kind == "message", (kind, content)
        message: str | bytearray = content[0]
        return message

    def receive_all(self, count: int) -> list[str | bytearray]:
        return [self.receive() for _ in range(count)]

    def echo(self, message: str) -> None:
        """Assert that a message comes back."""
        self.text(message)
        assert self.receive() == message

    def expect_close(self, code: int, reason: str | None = None) -> None:
        """Assert that the server begins to close, answer it, assert that it ends its stream, and end ours."""
        self.expect_close_frame(code, reason)
        self.close(code)
        self.expect_end()
        self.client.close()

    def expect_close_frame(self, code: int, reason: str | None = None) -> None:
        """Assert that a close frame comes next."""
        event = self.event()
        assert event[:2] == ("close", code), event
        assert reason in (None, event[2])

    def expect_end(self) -> None:
        """Assert that the connection ends in an orderly way, with nothing before that."""
        assert self.event() == END

    def leave(self) -> None:
        """Close in an orderly way."""
        self.close(1000)
        self.expect_close_frame(1000)
        self.expect_end()
        self.client.close()


def open_peer(served: Served, path: str = "/", *fields: str, receive_buffer: int = 0) -> Peer:
    """Connect, and complete the handshake."""
    client = served.connect(receive_buffer).send(handshake(path, *fields))
    return Peer(client).opened()


def narrow(served: Served, *, sends: int = 4096, receives: int = 0) -> Served:
    """Have connections that are accepted from now on hold few bytes in the kernel."""
    served.server.socket.setsockopt(blocking_socket.SOL_SOCKET, blocking_socket.SO_SNDBUF, sends)
    if receives:
        served.server.socket.setsockopt(blocking_socket.SOL_SOCKET, blocking_socket.SO_RCVBUF, receives)
    return served


# Applications.


def blocking(*uses: Callable[[WebSocket], object]) -> Application:
    """An application that does with its WebSocket what each of `uses` does, and returns."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        for use in uses:
            use(environ["wsgi.websocket"])
        return []

    return app


def not_found(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"nothing here"]


def calling(kind: type, beside: Application = not_found) -> Application:
    """An application in callback style, at "/"."""
    return websockets({"/": kind}, beside)


def echo(ws: WebSocket) -> None:
    """Send every message back."""
    for message in ws:
        ws.send(message)


class Echo(WebSocketApplication):  # type: ignore[misc]
    """The same in callback style."""

    def on_message(self, message: Any, *args: Any) -> None:
        if message is not None:
            self.ws.send(message)


ECHOES = {"blocking": blocking(echo), "callbacks": calling(Echo)}


def resident() -> int:
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def settle(*, turns: int = 20) -> None:
    """Let the hub look for events a few times, for what must not happen."""
    for _ in range(turns):
        gevent.idle()
