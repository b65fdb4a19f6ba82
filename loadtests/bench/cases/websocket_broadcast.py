"""One message to thousands of WebSocket connections, again and again."""

from __future__ import annotations

from typing import Final

from ..apps.websocket.messages import MESSAGE
from ..errors import RoundFailed
from ..launch import Running
from ..servers.server import BROADCAST
from ..stats import Sample
from ..websocket import ECHO_PROBE, SWITCHING_PROTOCOLS, open_websocket
from ..wsload import checked, wsload
from .case import Case, Column, Options, Target
from .websocket_echo import CALLBACK
from .websocket_idle import obstacle


def measure(server: Running, options: Options) -> Sample:
    """Open the subscribers, then a publisher, at whose coming the server begins, and count what the subscribers get."""
    with wsload(
        server.port, "/broadcast", "-k", "-n", str(options.connections), "-s", str(len(MESSAGE)),
        "-w", str(options.warm_up), "-d", str(options.seconds),
    ) as load:  # fmt: skip
        opened = load.read_answer()
        if "opened" not in opened:
            checked(load, opened)
        publisher, status = open_websocket(server.port, "/publish")
        with publisher:
            if status != SWITCHING_PROTOCOLS:
                raise RoundFailed(f"the publisher was answered {status}")
            answer = checked(load, load.read_answer())
    if answer["conns_served"] < options.connections:
        raise RoundFailed(f"of {options.connections:,} subscribers {answer['conns_served']:,} were sent anything")
    return {
        "connections": float(options.connections),
        "rate": answer["msg_per_s"],
        "least": answer["conn_min"],
        "most": answer["conn_max"],
        "client_cpu": answer["client_cpu"],
    }


BROADCASTING: Final = Case(
    name="ws-broadcast",
    title="WebSocket broadcast",
    method=(
        f"A text message of {len(MESSAGE)} bytes to all connections, back to back. Deliveries are counted where they "
        "arrive, over all connections; the load generator's share of its core tells whether it was the bottleneck."
    ),
    probe=ECHO_PROBE,
    servers=(CALLBACK, "Node ws", "picows", "aiohttp", "websockets"),
    subjects=(CALLBACK,),
    needs=BROADCAST,
    measure=measure,
    columns=(
        Column("connections", "{connections:,.0f}"),
        Column("deliveries/s", "{rate:,.0f}"),
        Column("least and most served connection", "{least:,.0f} / {most:,.0f}"),
        Column("load generator's core", "{client_cpu:.0%}"),
    ),
    primary="rate",
    more_is_better=True,
    targets=(
        Target(
            "WebSocket broadcast, deliveries in a second", "rate", "at least", 400_000, unit="deliveries/s",
            subject=CALLBACK,
        ),
    ),
    obstacle=obstacle,
    seconds=4.0,
)  # fmt: skip
