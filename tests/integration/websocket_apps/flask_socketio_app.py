"""Flask-SocketIO: on gevent, where it uses `wsgi.websocket`, and on (patched) threads, where simple-websocket works."""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from flask_socketio import SocketIO, disconnect, emit, join_room


def make_app(async_mode: str) -> Flask:
    app = Flask(__name__)
    # Pings this often show within a test that they work.
    socketio = SocketIO(app, async_mode=async_mode, ping_interval=0.2, ping_timeout=5)

    @app.get("/")
    def hello() -> str:
        return "plain"

    @socketio.on("echo")
    def echo(message: Any) -> Any:
        return message

    @socketio.on("join")
    def join(room: str) -> None:
        join_room(room)
        emit("joined", request.sid, to=room)  # type: ignore[attr-defined]

    @socketio.on("stop")
    def stop() -> None:
        disconnect()

    return app


gevent_app = make_app("gevent")
threading_app = make_app("threading")
