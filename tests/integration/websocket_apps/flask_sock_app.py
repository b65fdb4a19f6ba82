"""flask-sock, which speaks WebSocket by simple-websocket; `app` as it comes, `pinging_app` with pings of its own."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_sock import Sock


def make_app(**options: Any) -> Flask:
    app = Flask(__name__)
    app.config["SOCK_SERVER_OPTIONS"] = options
    sock = Sock(app)

    @app.get("/")
    def hello() -> str:
        return "plain"

    @sock.route("/echo")
    def echo(ws: Any) -> None:
        while (message := ws.receive()) != "stop":
            ws.send(message)

    return app


app = make_app()
pinging_app = make_app(ping_interval=0.1)
