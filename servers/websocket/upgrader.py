"""Looks at every request with an Upgrade field: whether it asks for the WebSocket protocol, and does so correctly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...runtime.errors import RequestRejected
from ..settings import Settings
from .handshake import check_origin, is_websocket_request, parse_offer
from .opening import Opening
from .session import WebSocketContext


class Upgrader:
    """Makes the `Opening` of a WebSocket request; what is wrong with one is its HTTP answer.

    `report(environ, error, note)` has the error log told of pages of another origin, which only a setting admits.
    """

    def __init__(
        self,
        websockets: WebSocketContext,
        settings: Settings,
        report: Callable[[dict[str, Any], BaseException | None, str], object],
    ) -> None:
        self.websockets = websockets
        self.compression = settings.websocket_compression
        self.origins = settings.websocket_origins
        self.hide_upgrade = settings.websocket_hide_upgrade
        self.report = report

    def __call__(self, environ: dict[str, Any]) -> Opening | None:
        """Return the opening of a WebSocket request, None for another one. Raises RequestRejected."""
        if not is_websocket_request(environ):
            return None
        offer = parse_offer(environ, self.compression)
        try:
            check_origin(environ, self.origins)
        except RequestRejected as rejected:
            self.report(environ, None, rejected.reason)
            raise
        if self.hide_upgrade:
            del environ["HTTP_UPGRADE"]
        return Opening(self.websockets, environ, offer)
