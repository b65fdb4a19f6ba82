"""gevent-websocket's server and handler on hublet; `hublet.patches.gevent_websocket` puts them in their places."""

from __future__ import annotations

import logging
from typing import Any
from weakref import WeakKeyDictionary

from gevent import spawn
from geventwebsocket.handler import WebSocketHandler as Handler

from .server import WSGIServer

# What a server says of itself in every environ, which hublet's says in its own way.
OWN_NAMES = ("wsgi.", "SERVER_", "GATEWAY_INTERFACE", "SCRIPT_NAME")
servers_behind: WeakKeyDictionary[Any, WSGIServer] = WeakKeyDictionary()


class WebSocketServer(WSGIServer):
    """`geventwebsocket.server.WebSocketServer`. Raises TypeError for a `pre_start_hook`: there is no handler for it."""

    def __init__(self, *args: Any, debug: bool = False, pre_start_hook: Any = None, **kwargs: Any) -> None:
        if pre_start_hook is not None:
            raise TypeError("pre_start_hook has no meaning here: hublet has no handler objects; wrap the application")
        super().__init__(*args, **kwargs)
        self.debug = debug

    @property
    def logger(self) -> logging.Logger:
        """The logger that applications reach by `ws.handler.server.logger`."""
        return logging.getLogger("hublet.websocket")


class WebSocketHandler(Handler):  # type: ignore[misc]
    """`geventwebsocket.handler.WebSocketHandler`, which gevent's and gunicorn's servers make for each connection.

    It passes the connection to a hublet server of the same application, so that these servers speak WebSocket too.
    """

    def __init__(self, socket: Any, address: Any, server: Any, rfile: Any = None) -> None:
        self.socket = socket
        self.client_address = address
        self.server = server

    def handle(self) -> None:
        """Have the connection served; it goes on after this has returned."""
        own = servers_behind.get(self.server)
        if own is None or not own.started:
            own = serve_behind(self.server)
            servers_behind[self.server] = own
        own.serve_connection(self.socket, self.client_address)


def serve_behind(server: Any) -> WSGIServer:
    """Start a hublet server for the application of another one; it stops with that one."""
    environ = {name: value for name, value in server.environ.items() if not name.startswith(OWN_NAMES)}
    own = WSGIServer([], server.application, log=server.log, error_log=server.error_log, environ=environ)
    own.start()
    spawn(stop_with, server._stop_event, own, server.stop_timeout)
    return own


def stop_with(stopped: Any, own: WSGIServer, timeout: float | None) -> None:
    """Wait for the other server's end."""
    stopped.wait()
    own.stop(timeout)
