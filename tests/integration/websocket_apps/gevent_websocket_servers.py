"""An application that starts further servers by gevent-websocket's names, which `hublet` has put its own behind.

`/` says their ports and which classes the names led to.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from gevent.pywsgi import WSGIServer
from geventwebsocket import Resource, WebSocketServer
from geventwebsocket.handler import WebSocketHandler

from tests.integration.websocket_apps.gevent_websocket_app import Echo, hello

resource = Resource(OrderedDict([("^/echo$", Echo), ("^/", hello)]))
servers = [
    WebSocketServer(("127.0.0.1", 0), resource, debug=False),
    WSGIServer(("127.0.0.1", 0), resource, handler_class=WebSocketHandler, log=None),
]
for server in servers:
    server.start()


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    names = [each.__module__ for each in (WebSocketServer, WebSocketHandler)]
    return [json.dumps({"ports": [server.address[1] for server in servers], "names": names}).encode()]
