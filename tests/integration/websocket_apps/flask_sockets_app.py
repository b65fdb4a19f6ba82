"""Flask-Sockets 0.2.1, whose rules Werkzeug since 1.0 takes for HTTP ones: needs `--websocket-hide-upgrade`."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_sockets import Sockets

app = Flask(__name__)
sockets = Sockets(app)


@app.get("/")
def hello() -> str:
    return "plain"


@sockets.route("/echo")
def echo(ws: Any) -> None:
    while not ws.closed:
        message = ws.receive()
        if message == "stop":
            return
        if message is not None:
            ws.send(message)
