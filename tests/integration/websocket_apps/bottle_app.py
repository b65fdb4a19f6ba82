"""Bottle with the WebSocket of the environ, as its documentation's primer to asynchronous applications shows it."""

from __future__ import annotations

from bottle import Bottle, abort, request
from geventwebsocket import WebSocketError

app = Bottle()


@app.get("/")
def hello() -> str:
    return "plain"


@app.get("/echo")
def echo() -> None:
    websocket = request.environ.get("wsgi.websocket")
    if not websocket:
        abort(400, "Expected WebSocket request.")
    while True:
        try:
            message = websocket.receive()
            if message == "stop":
                break
            websocket.send(message)
        except WebSocketError:
            break
