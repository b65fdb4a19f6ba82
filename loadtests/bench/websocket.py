"""As much of a WebSocket client as the benchmark needs beside wsload: a handshake, a short message and its echo.

Fields are looked for only in what must be right for a server to be measured at all; wsload checks the rest.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
from base64 import b64encode
from http import HTTPStatus
from typing import Final

from .launch import ANSWER_SECONDS, HOST, Probe

ECHOED: Final = b"Hello, World!"
TEXT: Final = 0x81  # a whole message
MASKED: Final = 0x80
SWITCHING_PROTOCOLS: Final = int(HTTPStatus.SWITCHING_PROTOCOLS)


def open_websocket(port: int, path: str) -> tuple[socket.socket, int]:
    """Connect to a path: the connection, and the status of the answer. Raises OSError or HTTPException."""
    connection = socket.create_connection((HOST, port), timeout=ANSWER_SECONDS)
    try:
        key = b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nOrigin: http://{HOST}:{port}\r\n\r\n".encode()
        )
        with connection.makefile("rb", buffering=0) as unbuffered:  # so that nothing after the head is taken
            return connection, read_head(unbuffered)
    except BaseException:
        connection.close()
        raise


def read_head(file: io.RawIOBase) -> int:
    """Read the head of a response, and give its status."""
    status_line = file.readline()
    if not status_line.startswith(b"HTTP/1.1 "):
        raise http.client.BadStatusLine(repr(status_line))
    while file.readline().strip():
        pass
    return int(status_line.split()[1])


def ask_for_echo(port: int, path: str) -> tuple[int, bytes]:
    """Open a WebSocket, send one message, and give the status of the handshake and the message that comes back."""
    connection, status = open_websocket(port, path)
    with connection, connection.makefile("rb") as file:
        if status != SWITCHING_PROTOCOLS:
            return status, file.read(len(ECHOED))
        # A mask of zeroes leaves the payload as it is.
        connection.sendall(bytes([TEXT, MASKED | len(ECHOED)]) + bytes(4) + ECHOED)
        head = file.read(2)
        if len(head) < 2:
            raise http.client.RemoteDisconnected("the WebSocket was closed instead of an echo")
        return status, file.read(head[1])


ECHO_PROBE: Final = Probe("/echo", ECHOED, SWITCHING_PROTOCOLS, ask_for_echo)
