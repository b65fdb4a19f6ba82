"""WSGI applications without a framework: a constant, a wait, a file, and a reader of uploads."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from wsgiref.util import FileWrapper

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

PAUSE_SECONDS: Final = 0.05
UPLOAD_PIECE: Final = 64 * 1024
DOWNLOAD_PIECE: Final = 64 * 1024
GREETING: Final = b"Hello, World!"
# Servers that are not told the length would have to choose a framing of their own, and would be compared by it.
GREETING_FIELDS: Final = (("Content-Type", "text/plain"), ("Content-Length", str(len(GREETING))))

COMPUTATION: Final = 40_000  # steps; about 2 ms
COMPUTED: Final = str(sum(number * number for number in range(COMPUTATION))).encode()


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a constant."""
    start_response("200 OK", list(GREETING_FIELDS))
    return [GREETING]


def wait(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a constant after a second of `time.sleep`."""
    time.sleep(1)
    start_response("200 OK", list(GREETING_FIELDS))
    return [GREETING]


def compute(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer what takes some time of the processor."""
    body = str(sum(number * number for number in range(COMPUTATION))).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def send_file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a file of BENCH_DIRECTORY through the server's `wsgi.file_wrapper`, or the usual one where it has none."""
    path = Path(os.environ["BENCH_DIRECTORY"]) / Path(environ["PATH_INFO"]).name
    if not path.is_file():
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []
    file = path.open("rb")
    start_response(
        "200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(path.stat().st_size))]
    )
    wrapped: Iterable[bytes] = environ.get("wsgi.file_wrapper", FileWrapper)(file, DOWNLOAD_PIECE)
    return wrapped


def count_upload(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Read the request body in pieces and answer its length."""
    read = environ["wsgi.input"].read
    length = 0
    while piece := read(UPLOAD_PIECE):
        length += len(piece)
    answer = str(length).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


def pause(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a constant after 50 ms of `time.sleep`, as an application that asks another service."""
    time.sleep(PAUSE_SECONDS)
    start_response("200 OK", list(GREETING_FIELDS))
    return [GREETING]
