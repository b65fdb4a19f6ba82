"""hublet, with callbacks: a greenlet runs only while a message is handled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import gevent
import hublet
from geventwebsocket import WebSocketApplication

from .messages import MESSAGE

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

subscribers: set[Any] = set()


class Echo(WebSocketApplication):  # type: ignore[misc]  # gevent-websocket has no types
    """Answers every message by itself."""

    def on_message(self, message: str | bytearray | None) -> None:
        """Answer a message; None is the end, as in gevent-websocket."""
        if message is not None:
            self.ws.send(message)


class Subscriber(WebSocketApplication):  # type: ignore[misc]
    """Takes what is published."""

    def on_open(self) -> None:
        """Subscribe."""
        subscribers.add(self.ws)

    def on_close(self, reason: str | None) -> None:
        """End the subscription."""
        subscribers.discard(self.ws)


class Publisher(WebSocketApplication):  # type: ignore[misc]
    """Publishes as long as it is connected."""

    def on_open(self) -> None:
        """Begin in a greenlet of its own, for callbacks are to be short."""
        gevent.spawn(self.publish)

    def publish(self) -> None:
        """Publish back to back."""
        while not self.ws.closed:
            hublet.broadcast(subscribers, MESSAGE)
            gevent.sleep(0)


def refuse(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer what is no WebSocket."""
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


app = hublet.websockets({"/echo": Echo, "/broadcast": Subscriber, "/publish": Publisher}, refuse)
