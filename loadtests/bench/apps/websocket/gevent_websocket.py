"""gevent-websocket on gevent.pywsgi, with the application that hublet runs in its blocking style."""

from __future__ import annotations

import sys

from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

from .blocking import app


def main() -> None:
    """Serve."""
    host, port = sys.argv[1:]
    WSGIServer((host, int(port)), app, handler_class=WebSocketHandler, log=None).serve_forever()


if __name__ == "__main__":
    main()
