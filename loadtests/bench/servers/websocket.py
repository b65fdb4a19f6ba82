"""The WebSocket servers. hublet takes part twice, for it has two styles of applications, which cost differently."""

from __future__ import annotations

from typing import Final

from .. import node
from .server import BROADCAST, DEFLATE, WEBSOCKET, Server, hublet_distributions, peer_distributions, program

PROGRAMS: Final = "loadtests.bench.apps.websocket"


def own_program(module: str) -> tuple[str, ...]:
    """Write the command for a server that is a library, started by its program."""
    return ("$peers", "-m", f"{PROGRAMS}.{module}", "$host", "$port")


def hublet(module: str) -> tuple[str, ...]:
    """Write hublet's command for an application of ours."""
    return ("$python", "-m", "hublet", f"{PROGRAMS}.{module}:app", "--bind", "$host:$port")


def node_ws() -> str | None:
    """The version probe of ws on Node; it installs the package, where Node is there."""
    try:
        node.install_ws()
    except node.NodeError:
        return None
    return f"ws {node.ws_version()}, {program('node', '--version')()}"


def why_no_node() -> str:
    """Say why ws on Node cannot be used."""
    try:
        node.install_ws()
    except node.NodeError as error:
        return str(error)
    return ""


NODE: Final[tuple[str, ...]] = (
    "env", f"NODE_PATH={node.MODULES.relative_to(node.ROOT)}",
    "node", "loadtests/bench/apps/websocket/node_ws.js", "$host", "$port",
)  # fmt: skip

WEBSOCKET_SERVERS: Final = (
    Server(
        "hublet callback",
        hublet("hublet_callback"),
        hublet_distributions("hublet", "gevent"),
        frozenset({WEBSOCKET, DEFLATE, BROADCAST}),
    ),
    Server(
        "hublet blocking", hublet("blocking"), hublet_distributions("hublet", "gevent"), frozenset({WEBSOCKET, DEFLATE})
    ),
    Server("Node ws", NODE, node_ws, frozenset({WEBSOCKET, DEFLATE, BROADCAST}), why_missing=why_no_node),
    Server(
        "picows",
        own_program("picows_uvloop"),
        peer_distributions("picows", "uvloop"),
        frozenset({WEBSOCKET, BROADCAST}),
    ),
    Server(
        "aiohttp",
        own_program("aiohttp_server"),
        peer_distributions("aiohttp"),
        frozenset({WEBSOCKET, DEFLATE, BROADCAST}),
    ),
    Server(
        "uvicorn websockets",
        (
            "$peers", "-m", "uvicorn", "--ws", "websockets-sansio", "--host", "$host", "--port", "$port",
            "--lifespan", "off", "--log-level", "error", f"{PROGRAMS}.asgi_echo:app",
        ),
        peer_distributions("uvicorn", "websockets", "uvloop"),
        frozenset({WEBSOCKET, DEFLATE}),
    ),
    Server(
        "websockets",
        own_program("websockets_server"),
        peer_distributions("websockets"),
        frozenset({WEBSOCKET, DEFLATE, BROADCAST}),
    ),
    Server(
        "gevent-websocket",
        own_program("gevent_websocket"),
        peer_distributions("gevent-websocket", "gevent"),
        frozenset({WEBSOCKET}),
    ),
)  # fmt: skip
