"""Applications, response iterables and requests that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.conftest import Application, Client

MIB = 1 << 20
BIG = bytes(range(256)) * (8 * MIB // 256)  # more than the socket buffers hold while nobody reads


def answering(make: Callable[[], Iterable[bytes]], status: str = "200 OK", *fields: tuple[str, str]) -> Application:
    """An application that starts its response and returns what `make()` gives."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, list(fields))
        return make()

    return app


class Tracked:
    """A response iterable that counts the calls of its close(); an exception among its pieces is raised."""

    def __init__(self, *pieces: bytes | BaseException, failing_close: bool = False) -> None:
        self.pieces = pieces
        self.failing_close = failing_close
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed += 1
        if self.failing_close:
            raise OSError("close failed")


class Fatal(BaseException):
    """Like KeyboardInterrupt, which pytest would take for itself."""


# Requests with a body.

FRAMINGS = ["length", "chunked"]
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"

framed = pytest.mark.parametrize("framing", FRAMINGS)


def post(framing: str, body: bytes, *fields: str, chunk: int = 1 << 16, version: str = "1.1") -> bytes:
    """A POST request with `body`, in chunks of `chunk` bytes if that is the framing."""
    lines = [f"POST /post HTTP/{version}", "Host: x", *fields]
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    else:
        lines.append("Transfer-Encoding: chunked")
        pieces = [body[start : start + chunk] for start in range(0, len(body), chunk)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    return "\r\n".join([*lines, "", ""]).encode() + body


def split_head(request: bytes) -> tuple[bytes, bytes]:
    """The head of a request, and its body as it is framed."""
    head, mark, body = request.partition(b"\r\n\r\n")
    return head + mark, body


def reading(read: Callable[[Any], object]) -> Application:
    """An application that answers what `read(wsgi.input)` returns, or the path if the request has no body."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            start_response("200 OK", [])
            return [environ["PATH_INFO"].encode()]
        result = read(environ["wsgi.input"])
        start_response("200 OK", [])
        return [result if isinstance(result, bytes) else repr(result).encode()]

    return app


def assert_in_sync(client: Client) -> None:
    """The connection serves another request."""
    client.send(NEXT)
    assert client.response().status == 200
