"""What the test behind a proxy looks at: an echo, a close with a code, and a message after a long silence."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    websocket = environ.get("wsgi.websocket")
    if websocket is None:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"plain"]
    if environ["PATH_INFO"] == "/echo":
        for message in websocket:
            websocket.send(message)
    elif environ["PATH_INFO"] == "/close":
        websocket.close(4321, "for a reason")
    elif environ["PATH_INFO"] == "/patient":
        websocket.accept()
        time.sleep(float(environ["QUERY_STRING"]))
        websocket.send("after all")
    elif environ["PATH_INFO"] == "/report":
        while websocket.receive() is not None:
            pass
        print(f"closed with {websocket.close_code} {websocket.close_reason}", file=environ["wsgi.errors"])
    return []
