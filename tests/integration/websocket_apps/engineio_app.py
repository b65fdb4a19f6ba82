"""python-engineio by itself, in both of its modes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import engineio


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]


def make_app(async_mode: str) -> Any:
    server = engineio.Server(async_mode=async_mode, ping_interval=0.2, ping_timeout=5)

    @server.on("message")
    def echo(sid: str, message: Any) -> None:
        if message == "stop":
            server.disconnect(sid)
        else:
            server.send(sid, message)

    return engineio.WSGIApp(server, hello)


gevent_app = make_app("gevent")
threading_app = make_app("threading")
