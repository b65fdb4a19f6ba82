"""Locust users that speak HTTP: pages, JSON, endpoints that wait, uploads, downloads and server-sent events.

`host` is the server's address, `path` what the user asks for. Subclass them in a locustfile, or have the command do it.
"""

from __future__ import annotations

import json
import math
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import gevent
from locust import FastHttpUser, HttpUser, User, constant, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS

from .event_stream import EventStream, EventTooLong
from .recorder import INTERVAL, Unanswered
from .tls import ClientTls

# Seconds after which a user whose connection failed tries again: without a pause a dead server makes a busy loop.
RETRY_PAUSE = 0.5
# Of the time that requests get to end when the test is over: one that has had less was cut off for another reason.
CUT_OFF_PART = 0.9
# Requests that wait in the application may take this long.
PATIENCE = 60.0
# Seconds that the clocks of two machines may differ by before a message that comes from the future is a failure.
CLOCK_TOLERANCE = 1.0


class FromTheFuture(ValueError):
    """The failure of a message whose time cannot be right. `sent` in milliseconds is the usual reason."""

    def __init__(self) -> None:
        super().__init__("sent in the future: `sent` is in seconds since the epoch, and the clocks must agree")


class PathUser(FastHttpUser):
    """Asks for one path, again and again, over one connection."""

    abstract = True
    path: ClassVar[str] = "/"
    wait_time = constant(0)
    network_timeout = PATIENCE
    connection_timeout = 10.0
    max_retries = 0
    tls: ClassVar[ClientTls] = ClientTls()

    @property
    def insecure(self) -> bool:
        """Whether any certificate is accepted, as locust wants to know it."""
        return self.tls.insecure

    def ssl_context_factory(self) -> ssl.SSLContext:
        """The context for this user's connections."""
        return self.tls.context()

    def pause_after(self, status: int) -> None:
        """Wait a moment after a request that got no response at all."""
        if status == 0:
            gevent.sleep(RETRY_PAUSE)

    @contextmanager
    def awaiting(self, method: str) -> Iterator[None]:
        """Report a request that the end of the test cuts off: locust itself would not count it at all."""
        began = time.perf_counter()
        try:
            yield
        except gevent.GreenletExit:
            seconds, patience = time.perf_counter() - began, self.environment.stop_timeout
            if patience and seconds >= patience * CUT_OFF_PART:
                fire(self, method, self.path, seconds * 1000, 0, Unanswered())
            raise


class PageUser(PathUser):
    """Gets a page."""

    abstract = True

    @task
    def get(self) -> None:
        """Get the page; the status decides whether it failed."""
        with self.awaiting("GET"):
            status = self.client.get(self.path, name=self.path).status_code
        self.pause_after(status)


class WaitingUser(PageUser):
    """Gets what the application waits for: a timer, a database, a slow server behind it."""

    abstract = True


class JsonUser(PathUser):
    """Gets a JSON document, and counts one that does not parse as a failure."""

    abstract = True

    @task
    def get(self) -> None:
        """Get the document and parse it."""
        headers = {"Accept": "application/json"}
        with (
            self.awaiting("GET"),
            self.client.get(self.path, name=self.path, headers=headers, catch_response=True) as response,
        ):
            if response.status_code == 200:
                try:
                    json.loads(response.content or b"")
                except ValueError as error:
                    response.failure(f"not JSON: {error}")
        self.pause_after(response.status_code)


class UploadUser(PathUser):
    """Posts `size` bytes."""

    abstract = True
    size: ClassVar[int] = 256 * 1024

    def on_start(self) -> None:
        """Make the body once."""
        self.body = bytes(self.size)

    @task
    def post(self) -> None:
        """Post the body."""
        headers = {"Content-Type": "application/octet-stream"}
        with self.awaiting("POST"):
            status = self.client.post(self.path, name=self.path, data=self.body, headers=headers).status_code
        self.pause_after(status)


class DownloadUser(PathUser):
    """Gets a body without keeping it, and counts one that is cut short as a failure."""

    abstract = True
    piece: ClassVar[int] = 64 * 1024

    @task
    def get(self) -> None:
        """Read the body to its end."""
        began = time.perf_counter()
        length, failure = 0, None
        with (
            self.awaiting("GET"),
            self.client.get(self.path, name=self.path, stream=True, catch_response=True) as response,
        ):
            status = response.status_code
            expected = response.headers.get("Content-Length") if status == 200 else None
            try:
                while status == 200 and (data := response._response.read(self.piece)):
                    length += len(data)
            except FAILURE_EXCEPTIONS as error:
                failure = f"cut short after {length} bytes: {error}"
            if expected is not None and length != int(expected):
                failure = f"cut short: {length} bytes of {expected}"
            if failure:
                response.failure(failure)
            response.request_meta["response_time"] = (time.perf_counter() - began) * 1000
            response.request_meta["response_length"] = length
        self.pause_after(status)


class ListeningUser(User):
    """One who waits for what the server sends by itself: at the end of the test there is nothing to wait for."""

    abstract = True

    def stop(self, force: bool = False) -> bool:
        """Stop at once."""
        stopped: bool = super().stop(force=True)
        return stopped


class EventsUser(ListeningUser, HttpUser):
    """Listens to server-sent events, `events` of them on each connection.

    The response time of an event is its latency, if its data is JSON with the time at which it was `sent` (seconds
    since the epoch, so the clocks must agree). Otherwise the time since the event before it is reported, as INTERVAL.
    """

    abstract = True
    path: ClassVar[str] = "/"
    wait_time = constant(0)
    events: ClassVar[int] = 1000
    tls: ClassVar[ClientTls] = ClientTls()

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.tls.prepare(self.client)

    @task
    def listen(self) -> None:
        """Read the stream until it ends or has brought enough events."""
        headers = {"Accept": "text/event-stream"}
        with self.client.get(
            self.path, name=self.path, headers=headers, stream=True, timeout=PATIENCE, catch_response=True
        ) as response:
            status = response.status_code
            if status != 200:
                response.failure(f"status {status}")
            else:
                response.success()
                self.read_events(response)
        if status != 200:
            gevent.sleep(RETRY_PAUSE)

    def read_events(self, response: Any) -> None:
        """Report every event of a stream."""
        stream, before, seen = EventStream(), time.perf_counter(), 0
        try:
            for piece in response.iter_content(chunk_size=None):
                for data in stream.feed(piece):
                    now = time.perf_counter()
                    fire_message(self, "EVENT", data, now - before)
                    before, seen = now, seen + 1
                if seen >= self.events:
                    return
        except (OSError, EventTooLong) as error:  # the exceptions of requests are among the former
            fire(self, "EVENT", self.path, None, 0, error)


def sent_at(data: str | bytes | bytearray) -> float | None:
    """When a message was sent, if it says so: `{"sent": 1700000000.5}`."""
    try:
        sent = float(json.loads(data)["sent"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return sent if math.isfinite(sent) else None


def fire_message(user: Any, kind: str, data: str | bytes | bytearray, seconds: float) -> None:
    """Report a message that the server sent by itself, `seconds` after the one before, or after the beginning."""
    sent = sent_at(data)
    if sent is None:
        fire(user, INTERVAL, user.path, seconds * 1000, len(data))
        return
    latency = time.time() - sent
    if latency < -CLOCK_TOLERANCE:
        fire(user, kind, user.path, None, len(data), FromTheFuture())
    else:
        fire(user, kind, user.path, max(latency, 0) * 1000, len(data))


def fire(
    user: Any, kind: str, name: str, milliseconds: float | None, length: int, error: BaseException | None = None
) -> None:
    """Tell locust of one request, or one message; None for one that has no answer to wait for."""
    user.environment.events.request.fire(
        request_type=kind,
        name=name,
        response_time=milliseconds,
        response_length=length,
        exception=error,
        context=user.context(),
    )
