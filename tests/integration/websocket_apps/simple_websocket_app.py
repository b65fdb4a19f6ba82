"""simple-websocket by itself in plain WSGI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import simple_websocket


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/echo":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"plain"]
    ws = simple_websocket.Server(environ)
    try:
        while (message := ws.receive()) != "stop":
            ws.send(message)
        ws.close()
    except simple_websocket.ConnectionClosed:
        pass
    return []
