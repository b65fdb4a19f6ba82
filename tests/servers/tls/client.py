"""A client with TLS that decides itself what goes into a record, a segment, and the end of the connection."""

from __future__ import annotations

import ssl
from typing import Any

from gevent import socket

from tests.conftest import Client, Served


class Truncated(EOFError):
    """The connection has ended without a close_notify."""


class TlsSocket:
    """A gevent socket with TLS. `recv` returns nothing at a close_notify, and raises Truncated at another end."""

    def __init__(
        self, plain: socket.socket, context: ssl.SSLContext, name: str | None, session: ssl.SSLSession | None
    ) -> None:
        self.plain = plain
        self.context = context
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)

    def shake(self) -> None:
        """Finish the handshake."""
        while True:
            try:
                self.tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                self.receive()
            finally:
                self.flush()

    def shake_with(self, data: bytes) -> None:
        """Finish the handshake, and send `data` in one segment with our end of it."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.receive()
        self.sendall(data)

    def receive(self) -> None:
        """Give OpenSSL what comes next."""
        self.flush()
        data = self.plain.recv(1 << 18)
        if not data:
            raise Truncated
        self.incoming.write(data)

    def flush(self) -> None:
        """Send what is encrypted."""
        self.plain.sendall(self.outgoing.read())

    def sendall(self, data: bytes) -> None:
        """Send `data` in records of its own."""
        self.tls.write(data)
        self.flush()

    def recv(self, size: int) -> bytes:
        """Receive the content of one record."""
        while True:
            try:
                return self.tls.read(size)
            except ssl.SSLWantReadError:
                self.receive()
            except ssl.SSLZeroReturnError:
                return b""

    def shutdown(self, _how: int) -> None:
        """Send a close_notify, and nothing at the level of TCP."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()

    def close(self) -> None:
        """Close the connection as it is."""
        self.plain.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class TlsClient(Client):
    """A `Client` whose bytes are encrypted. `name` is the server name that it asks for.

    `first` is sent in one segment with the end of the handshake.
    """

    def __init__(
        self,
        served: Served,
        context: ssl.SSLContext,
        name: str | None = "localhost",
        receive_buffer: int = 0,
        session: ssl.SSLSession | None = None,
        first: bytes = b"",
    ) -> None:
        super().__init__(served.server.address[:2], receive_buffer)
        served.clients.append(self)
        self.tls = TlsSocket(self.socket, context, name, session)
        self.socket: Any = self.tls
        if first:
            self.tls.shake_with(first)
        else:
            self.tls.shake()

    def server_names(self) -> set[str]:
        """The names in the server's certificate."""
        certificate: Any = self.tls.tls.getpeercert()
        return {value for _, value in certificate["subjectAltName"]}
