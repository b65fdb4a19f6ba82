"""The servers that are compared, and the libraries. `BY_NAME` holds all of them, in the order of listing."""

from __future__ import annotations

from typing import Final

from .libraries import LIBRARIES, POOLS
from .server import Server
from .web import WEB_SERVERS
from .websocket import WEBSOCKET_SERVERS

BY_NAME: Final[dict[str, Server]] = {
    server.name: server for server in (*WEB_SERVERS, *WEBSOCKET_SERVERS, *POOLS, *LIBRARIES)
}
