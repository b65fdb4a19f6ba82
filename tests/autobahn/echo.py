"""The echo that the suite tests: by blocking `receive` on /blocking, by callbacks on /callback."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import hublet
from geventwebsocket import WebSocketApplication

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


class Echo(WebSocketApplication):  # type: ignore[misc]  # gevent-websocket has no types
    """Answers every message by itself."""

    def on_message(self, message: str | bytearray | None) -> None:
        """Answer a message; None is the end, as in gevent-websocket."""
        if message is not None:
            self.ws.send(message)


def blocking(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer every message by itself until the connection is closed."""
    websocket = environ["wsgi.websocket"]
    while (message := websocket.receive()) is not None:
        websocket.send(message)
    return []


app = hublet.websockets({"/callback": Echo}, blocking)
