"""gevent-websocket's server and handler on hublet; `hublet.patches.gevent_websocket` puts them in their places."""

from __future__ import annotations

import logging
from typing import Any
from weakref import WeakKeyDictionary

from geventwebsocket.handler import WebSocketHandler as Handler

from .server import WSGIServer

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
        if own is None:
            own = WSGIServer([], self.server.application, log=self.server.log, error_log=self.server.error_log)
            own.start()
            servers_behind[self.server] = own
        own.serve_connection(self.socket, self.client_address)
