"""For tests of applications: a WebSocket client that needs no network port.

The application is served on the hub of the thread that runs the test, over a pair of connected sockets, by the code
that serves it in production. So there is nothing to mock, to start or to wait for; whatever the test waits for lets the
application run.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import gevent
from gevent import socket

from .runtime.errors import HandshakeRefused
from .servers.server import WSGIServer
from .servers.settings import Settings
from .servers.websocket.frames import MessageReader, encode_close, encode_frame

HOST: Final = "testserver"
CLIENT: Final = ("127.0.0.1", 50000)
RECV_SIZE: Final = 65536
CLOSE_TIMEOUT: Final = 5.0

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10  # opcodes, RFC 6455 section 5.2


class WebSocketClient:
    """One WebSocket connection to an application.

    `app` is a WSGI application, which gets a server of its own with `settings`, or a `hublet.WSGIServer` that has been
    started, for several clients of one server. `timeout`, in seconds, bounds every wait. `headers` are added to the
    request; `subprotocols` are offered, and `subprotocol` is what was chosen.

    Raises HandshakeRefused, with the response, when the application or the server answers anything but 101.
    """

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]] | WSGIServer,
        path: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        timeout: float = 5.0,
        **settings: Any,
    ) -> None:
        self.timeout = timeout
        #: How the connection was closed, once `receive` has returned None: by the server's close frame, or 1006.
        self.close_code: int | None = None
        self.close_reason: str = ""
        self.subprotocol: str | None = None
        self._reader = MessageReader(0, None, from_client=False)
        self._events: list[tuple[Any, ...]] = []
        self._close_sent = False
        self._own_server: WSGIServer | None = None
        if isinstance(app, WSGIServer):
            server = app
        else:
            server = self._own_server = WSGIServer([], app, log=None, settings=Settings(**settings))
            server.start()
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                server.serve_connection(theirs, CLIENT)
            self._open(path, headers or {}, subprotocols)
        except BaseException:
            self._end()
            raise

    # The handshake.

    def _open(self, path: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> None:
        fields = {
            "Host": HOST,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        if subprotocols:
            fields["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
        fields |= headers
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self._socket.sendall("\r\n".join(lines).encode("latin-1"))
        with gevent.Timeout(self.timeout, TimeoutError(f"no answer to the handshake within {self.timeout:g} s")):
            self._read_answer()

    def _read_answer(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            received = self._socket.recv(RECV_SIZE)
            if not received:
                raise HandshakeRefused(0, {}, data)
            data += received
        head, _, rest = data.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split(" ", 2)[1])
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if status != 101:
            chunked = fields.get("transfer-encoding") == "chunked"
            body = self._read_chunks(rest) if chunked else self._fill(rest, int(fields.get("content-length", 0)))
            raise HandshakeRefused(status, fields, body)
        self.subprotocol = fields.get("sec-websocket-protocol")
        self._events = self._reader.feed(rest)

    def _fill(self, data: bytes, size: int) -> bytes:
        """Receive until there are `size` bytes, or until the connection ends."""
        while len(data) < size and (received := self._socket.recv(RECV_SIZE)):
            data += received
        return data

    def _read_chunks(self, data: bytes) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in data:
                before, data = data, self._fill(data, len(data) + 1)
                if data == before:
                    return body
            line, _, data = data.partition(b"\r\n")
            size = int(line, 16)
            if size == 0:
                return body
            data = self._fill(data, size + 2)
            body += data[:size]
            data = data[size + 2 :]

    # Messages.

    def send(self, message: str | bytes) -> None:
        """Send one message: a str as text, bytes as binary."""
        if isinstance(message, str):
            self._send_frame(TEXT, message.encode())
        else:
            self._send_frame(BINARY, bytes(message))

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        with gevent.Timeout(self.timeout, TimeoutError(f"the server took nothing within {self.timeout:g} s")):
            self._socket.sendall(encode_frame(opcode, payload, mask=os.urandom(4)))

    def receive(self, timeout: float | None = None) -> str | bytearray | None:
        """Wait for the next message: a str, or a bytearray for a binary one; None when the connection is closed.

        Raises TimeoutError after `timeout` seconds, by default those of the constructor.
        """
        limit = self.timeout if timeout is None else timeout
        with gevent.Timeout(limit, TimeoutError(f"no message within {limit:g} s")):
            return self._receive()

    def _receive(self) -> str | bytearray | None:
        while self.close_code is None:
            while self._events:
                kind, *content = self._events.pop(0)
                if kind == "message":
                    message: str | bytearray = content[0]
                    return message
                if kind == "ping":
                    self._send_frame(PONG, content[0])
                elif kind != "pong":
                    self._closed(*content)
                    return None
            data = b""
            try:
                data = self._socket.recv(RECV_SIZE)
            except ConnectionError:
                pass
            if data:
                self._events += self._reader.feed(data)
            else:
                self._closed(1006, "")
        return None

    def __iter__(self) -> Iterator[str | bytearray]:
        """Iterate over the messages, until the connection is closed."""
        while (message := self.receive()) is not None:
            yield message

    # The end.

    def _closed(self, code: int, reason: str) -> None:
        self.close_code, self.close_reason = code, reason
        if code != 1006:
            self._send_close(None, "")

    def _send_close(self, code: int | None, reason: str) -> None:
        if not self._close_sent:
            self._close_sent = True
            try:
                self._send_frame(CLOSE, encode_close(code, reason))
            except OSError:
                pass  # the server did not wait for it

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, wait for the server's part of it, and stop the client's own server."""
        try:
            self._send_close(code, reason)
            while self.receive(CLOSE_TIMEOUT) is not None:
                pass
        finally:
            self._end()

    def _end(self) -> None:
        self._socket.close()
        if self._own_server is not None:
            self._own_server.stop(CLOSE_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
