"""What is sent, byte for byte, and how the end of its answer is recognised."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..bench.cases.hello import CHROME
from ..bench.launch import HOST
from ..bench.websocket import SWITCHING_PROTOCOLS, open_websocket

RECEIVE_SIZE: Final = 65536
PATIENCE_SECONDS: Final = 60.0
HOST_LINE: Final = "Host: 127.0.0.1:8000"  # not the real port, whose digits are not the same in every run
BODY: Final = b"b" * 1000
MESSAGE: Final = b"m" * 32
TEXT: Final = 0x81  # a whole message
MASKED: Final = 0x80
MASK: Final = bytes([0x12, 0x34, 0x56, 0x78])


class WrongAnswer(Exception):
    """The server answered something else, so that its instructions must not be counted."""


def connect(port: int) -> socket.socket:
    """Open a connection for HTTP."""
    return socket.create_connection((HOST, port), timeout=PATIENCE_SECONDS)


def connect_websocket(port: int) -> socket.socket:
    """Open a connection and a WebSocket on it. Raises WrongAnswer where it is refused."""
    connection, status = open_websocket(port, "/echo")
    connection.settimeout(PATIENCE_SECONDS)
    if status != SWITCHING_PROTOCOLS:
        raise WrongAnswer(f"the WebSocket was answered {status}")
    return connection


@dataclass(frozen=True, slots=True)
class Trace:
    """One request, sent again and again on a connection: its bytes, how its answer begins, and how it ends."""

    name: str
    title: str
    request: bytes
    beginning: bytes
    end: bytes
    connect: Callable[[int], socket.socket] = connect

    def send(self, connection: socket.socket, count: int) -> None:
        """Send it `count` times, each after the answer to the last. Raises WrongAnswer."""
        for _ in range(count):
            connection.sendall(self.request)
            answer = b""
            while not answer.endswith(self.end):
                piece = connection.recv(RECEIVE_SIZE)
                if not piece:
                    raise WrongAnswer(f"{self.name}: the server closed the connection after {answer[-80:]!r}")
                answer += piece
            if not answer.startswith(self.beginning):
                raise WrongAnswer(f"{self.name}: the answer begins with {answer[:80]!r}")


def http(start: str, *lines: str) -> bytes:
    """Write the head of a request."""
    return "".join(f"{line}\r\n" for line in (f"{start} HTTP/1.1", HOST_LINE, *lines, "")).encode()


def text_frame(message: bytes) -> bytes:
    """Write a short message as a client does, masked."""
    masked = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(message))
    return bytes([TEXT, MASKED | len(message)]) + MASK + masked


OK: Final = b"HTTP/1.1 200 OK\r\n"
ECHO: Final = bytes([TEXT, len(MESSAGE)]) + MESSAGE

TRACES: Final = (
    Trace("hello", "GET, keep-alive", http("GET /"), OK, b"\r\n\r\nHello, World!"),
    Trace("browser", "GET with a browser's header", http("GET /", *CHROME), OK, b"\r\n\r\nHello, World!"),
    Trace(
        "post", f"POST of {len(BODY)} bytes", http("POST /body", f"Content-Length: {len(BODY)}") + BODY,
        OK, f"\r\n\r\n{len(BODY)}".encode(),
    ),
    Trace("chunked", "GET, answered in chunks", http("GET /stream"), OK, b"\r\n0\r\n\r\n"),
    Trace("websocket", f"WebSocket echo of {len(MESSAGE)} bytes", text_frame(MESSAGE), ECHO, ECHO, connect_websocket),
)  # fmt: skip
