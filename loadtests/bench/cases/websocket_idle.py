"""The memory that an idle WebSocket connection costs the server's processes."""

from __future__ import annotations

from typing import Final

from ..errors import RoundFailed
from ..launch import Running
from ..servers.server import WEBSOCKET
from ..stats import Sample
from ..websocket import ECHO_PROBE
from ..wsload import checked, wsload, wsload_obstacle
from .case import Case, Column, Options, Target, too_few_descriptors
from .idle import WARM_UP_CONNECTIONS, settled_resident_bytes
from .websocket_echo import BLOCKING, CALLBACK, SUBJECTS

# Longer than the server's memory takes to settle: the connections are held until wsload's standard input is closed.
HOLD_SECONDS: Final = 120


def obstacle(options: Options) -> str | None:
    """Say what forbids the case: the limit of descriptors, or that wsload cannot be compiled."""
    return too_few_descriptors(options) or wsload_obstacle()


def measure(server: Running, options: Options) -> Sample:
    """Measure the resident memory without and with idle connections, and make sure that none was lost meanwhile."""
    hold(server, WARM_UP_CONNECTIONS)
    before, during = hold(server, options.connections)
    return {
        "connections": float(options.connections),
        "bytes": (during - before) / options.connections,
        "before_mib": before / 2**20,
        "during_mib": during / 2**20,
    }


def hold(server: Running, connections: int) -> tuple[int, int]:
    """Make connections, an echo on each, and give the server's memory before, and with them all open and idle."""
    before = settled_resident_bytes(server)
    with wsload(
        server.port, "/echo", "-i", "-g", "-e", "-n", str(connections), "-d", str(HOLD_SECONDS)
    ) as load:  # fmt: skip
        opened = load.read_answer()
        if "opened" not in opened:
            checked(load, opened)
        during = settled_resident_bytes(server)
        answer = checked(load, load.finish())
    if answer["of"] < connections:
        raise RoundFailed(f"of {connections:,} connections {answer['of']:,.0f} were open at the end")
    return before, during


IDLE: Final = Case(
    name="ws-idle",
    title="Memory of an idle WebSocket connection",
    method=(
        "Resident user-space memory of the server's processes (Rss of /proc/PID/smaps_rollup) with all connections "
        "open and idle, each after one echo of 32 bytes, less that before, divided by their number."
    ),
    probe=ECHO_PROBE,
    servers=(CALLBACK, BLOCKING, "Node ws", "picows", "websockets", "gevent-websocket"),
    subjects=SUBJECTS,
    needs=WEBSOCKET,
    measure=measure,
    columns=(
        Column("connections", "{connections:,.0f}"),
        Column("bytes each", "{bytes:,.0f}"),
        Column("MiB before", "{before_mib:.1f}"),
        Column("MiB with them", "{during_mib:.1f}"),
    ),
    primary="bytes",
    more_is_better=False,
    targets=(
        Target(
            "Memory of an idle WebSocket connection, callback", "bytes", "at most", 2560, unit="bytes", subject=CALLBACK
        ),
        Target(
            "Memory of an idle WebSocket connection, blocking receive", "bytes", "at most", 20480, unit="bytes",
            subject=BLOCKING,
        ),
    ),
    obstacle=obstacle,
    seconds=10.0,
    enough=1,
)  # fmt: skip
