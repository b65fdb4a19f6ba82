"""An application with something for every user of `hublet loadtest`: `hublet loadtest loadtests.target:app`.

`/query` asks the PostgreSQL that the variable LOADTEST_DATABASE names (libpq's keywords or a URL), `/upstream` the
server that LOADTEST_UPSTREAM names. `/capacity` has room for four requests at once, 50 ms each: 80 a second.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from threading import BoundedSemaphore
from typing import Any

import hublet
import psycopg
import socketio
from geventwebsocket import WebSocketApplication

ROOM = 4
CAPACITY_WAIT = 0.05  # seconds
WAIT = 0.05
PIECE = 64 * 1024
EVENT_PERIOD = 0.05

capacity = BoundedSemaphore(ROOM)
StartResponse = Callable[..., Any]
Environ = dict[str, Any]


def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A page of 2 KB."""
    return answer(start_response, "text/html", b"<!doctype html><title>Hello</title>" + b"<p>Hello, World!</p>" * 100)


def document(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A JSON document."""
    return answer(start_response, "application/json", json.dumps({"items": list(range(20))}).encode())


def sleep(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Waits for a timer."""
    time.sleep(WAIT)
    return answer(start_response, "text/plain", b"slept")


def query(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Waits for a database, on a connection of its own."""
    with psycopg.connect(os.environ["LOADTEST_DATABASE"]) as connection:
        row = connection.execute("SELECT pg_sleep(0.01), 6 * 7").fetchone()
    return answer(start_response, "text/plain", str(row and row[1]).encode())


def upstream(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Waits for another server."""
    with urllib.request.urlopen(os.environ["LOADTEST_UPSTREAM"], timeout=10) as response:
        return answer(start_response, "text/plain", response.read())


def limited(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Serves four requests at once, and no more."""
    with capacity:
        time.sleep(CAPACITY_WAIT)
    return answer(start_response, "text/plain", b"done")


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Reads the body and says how long it was."""
    length = 0
    while data := environ["wsgi.input"].read(PIECE):
        length += len(data)
    return answer(start_response, "text/plain", str(length).encode())


def download(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A megabyte."""
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(16 * PIECE))])
    return [bytes(PIECE)] * 16


def events(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Server-sent events that say when they were sent."""
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    while True:
        yield b'data: {"sent": %f}\n\n' % time.time()
        time.sleep(EVENT_PERIOD)


def fail(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Raises."""
    raise RuntimeError("as asked for")


def block(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Computes for 150 ms, during which nothing else runs."""
    end = time.perf_counter() + 0.15
    while time.perf_counter() < end:
        pass
    return answer(start_response, "text/plain", b"computed")


def answer(start_response: StartResponse, kind: str, body: bytes) -> Iterable[bytes]:
    """Send a body of known length."""
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


class Echo(WebSocketApplication):  # type: ignore[misc]
    """Sends every message back."""

    def on_message(self, message: str | bytes | None) -> None:
        """Send it back."""
        if message is not None:
            self.ws.send(message)


class Push(WebSocketApplication):  # type: ignore[misc]
    """Passes every message on to all who are connected."""

    members: set[Push] = set()

    def on_open(self) -> None:
        """One more."""
        self.members.add(self)

    def on_message(self, message: str | bytes | None) -> None:
        """Pass it on."""
        if message is not None:
            hublet.broadcast(self.members, message)

    def on_close(self, reason: object) -> None:
        """One less."""
        self.members.discard(self)


PAGES = {
    "/": page,
    "/json": document,
    "/sleep": sleep,
    "/query": query,
    "/upstream": upstream,
    "/capacity": limited,
    "/upload": upload,
    "/download": download,
    "/events": events,
    "/fail": fail,
    "/block": block,
}


def pages(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Everything but WebSockets."""
    found = PAGES.get(environ["PATH_INFO"])
    if found is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"there is no such page"]
    return found(environ, start_response)


rooms = socketio.Server(async_mode="gevent")


@rooms.event  # type: ignore[untyped-decorator]
def echo(sid: str, data: object) -> object:
    """Acknowledge with what has come."""
    return data


app = socketio.WSGIApp(rooms, hublet.websockets({"/echo": Echo, "/push": Push}, pages))
