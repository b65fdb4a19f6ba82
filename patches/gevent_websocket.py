"""gevent-websocket's names, for code that was written to them, on hublet's implementation."""

from __future__ import annotations

from typing import Final

from .replacement import Patch, Replacement

CALLBACK_STYLE: Final = Patch(
    name="gevent-websocket-callbacks",
    why="WebSocketApplication keeps no greenlet while its connection is idle",
    replacements=(
        Replacement(
            "geventwebsocket.resource:WebSocketApplication.handle", "hublet.servers.websocket.applications:handle"
        ),
    ),
)

SERVERS: Final = Patch(
    name="gevent-websocket-servers",
    why="servers that the application starts by gevent-websocket's names are hublet's",
    replacements=(
        Replacement("geventwebsocket.handler:WebSocketHandler", "hublet.servers.gevent_websocket:WebSocketHandler"),
        Replacement("geventwebsocket.server:WebSocketHandler", "hublet.servers.gevent_websocket:WebSocketHandler"),
        Replacement("geventwebsocket.server:WebSocketServer", "hublet.servers.gevent_websocket:WebSocketServer"),
        Replacement("geventwebsocket:WebSocketServer", "hublet.servers.gevent_websocket:WebSocketServer"),
    ),
)
