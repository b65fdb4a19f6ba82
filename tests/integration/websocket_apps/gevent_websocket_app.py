"""gevent-websocket: a Resource with callback classes, of which one broadcasts by `server.clients`, and plain WSGI."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from geventwebsocket import Resource, WebSocketApplication


class Echo(WebSocketApplication):
    def on_message(self, message: Any) -> None:
        if message == "stop":
            self.ws.close()
        elif message is not None:
            self.ws.send(message)


class Chat(WebSocketApplication):
    """The chat of gevent-websocket's own examples, in short."""

    def on_open(self) -> None:
        self.tell("came", len(self.ws.handler.server.clients))

    def on_message(self, message: Any) -> None:
        if message is None:
            return
        client = self.ws.handler.active_client
        text = json.loads(message)
        if text.startswith("I am "):
            client.nickname = text.removeprefix("I am ")
        names = [getattr(each, "nickname", "") for each in self.ws.handler.server.clients.values()]
        self.tell(client.nickname, text, names)

    def on_close(self, reason: str | None) -> None:
        self.tell("went", self.ws.handler.active_client.nickname)

    def tell(self, *words: Any) -> None:
        for client in self.ws.handler.server.clients.values():
            client.ws.send(json.dumps(words))


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]


app = Resource(OrderedDict([("^/echo$", Echo), ("^/chat$", Chat), ("^/", hello)]))
