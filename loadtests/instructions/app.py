"""The application that is counted. A request for /mark/NAME ends a stretch: callgrind writes down what it counted."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import hublet
from geventwebsocket import WebSocketApplication

from .marks import LIBRARY_VARIABLE, START

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

GREETING: Final = b"Hello, World!"
PIECES: Final = (b"x" * 400, b"y" * 400, b"z" * 400)

callgrind = ctypes.CDLL(os.environ[LIBRARY_VARIABLE])
callgrind.start_counting.restype = callgrind.dump_count.restype = None


def hello(environ: WSGIEnvironment) -> tuple[int | None, Iterable[bytes]]:
    """Answer a constant."""
    return len(GREETING), [GREETING]


def count_body(environ: WSGIEnvironment) -> tuple[int | None, Iterable[bytes]]:
    """Read the body and answer its length."""
    answer = str(len(environ["wsgi.input"].read())).encode()
    return len(answer), [answer]


def stream(environ: WSGIEnvironment) -> tuple[int | None, Iterable[bytes]]:
    """Answer in pieces, without a length."""

    def pieces() -> Iterator[bytes]:
        yield from PIECES

    return None, pieces()


def mark(environ: WSGIEnvironment) -> tuple[int | None, Iterable[bytes]]:
    """End a stretch."""
    name = environ["PATH_INFO"].rpartition("/")[2]
    if name == START:
        callgrind.start_counting()
    else:
        callgrind.dump_count(name.encode())
    return 0, []


PAGES: Final = {"/": hello, "/body": count_body, "/stream": stream}


def pages(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer by path."""
    length, body = PAGES.get(environ["PATH_INFO"], mark)(environ)
    fields = [("Content-Type", "text/plain")]
    if length is not None:
        fields.append(("Content-Length", str(length)))
    start_response("200 OK", fields)
    return body


class Echo(WebSocketApplication):  # type: ignore[misc]  # gevent-websocket has no types
    """Answers every message by itself."""

    def on_message(self, message: Any) -> None:
        """Answer a message; None is the end."""
        if message is not None:
            self.ws.send(message)


app = hublet.websockets({"/echo": Echo}, pages)
