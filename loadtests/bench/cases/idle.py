"""The memory that an idle keep-alive connection costs the server's processes."""

from __future__ import annotations

import time
from typing import Final

from ..apps.plain import GREETING
from ..errors import RoundFailed
from ..launch import Probe, Running
from ..load import client
from ..servers.server import WSGI
from ..stats import Sample
from .case import SERVERS, Case, Column, Options, Target, too_few_descriptors

WARM_UP_CONNECTIONS: Final = 256
SETTLE_SECONDS: Final = 10.0
SETTLE_POLL: Final = 0.25


def measure(server: Running, options: Options) -> Sample:
    """Measure the resident memory without and with idle connections, and make sure that none was lost meanwhile."""
    with client("idle", "--port", str(server.port), "--connections", str(WARM_UP_CONNECTIONS)) as warm_up:
        warm_up.read_answer()
        warm_up.finish()
    before = settled_resident_bytes(server)
    with client("idle", "--port", str(server.port), "--connections", str(options.connections)) as load:
        errors = int(load.read_answer()["errors"])
        during = settled_resident_bytes(server)
        lost = int(load.finish()["lost"])
    if errors or lost:
        raise RoundFailed(
            f"of {options.connections:,} connections {errors:,} failed and {lost:,} were lost", errors + lost
        )
    return {
        "connections": float(options.connections),
        "bytes": (during - before) / options.connections,
        "before_mib": before / 2**20,
        "during_mib": during / 2**20,
    }


def settled_resident_bytes(server: Running) -> int:
    """The server's memory once two readings in a row agree, or what it is after a bounded wait."""
    deadline = time.monotonic() + SETTLE_SECONDS
    reading = server.resident_bytes()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_POLL)
        previous, reading = reading, server.resident_bytes()
        if reading == previous:
            break
    return reading


IDLE: Final = Case(
    name="idle",
    title="Memory of an idle connection",
    method=(
        "Resident user-space memory of the server's processes (Rss of /proc/PID/smaps_rollup) with all connections "
        "open and idle, each after one request, less that before, divided by their number."
    ),
    app="loadtests.bench.apps.plain:hello",
    probe=Probe("/", GREETING),
    servers=SERVERS,
    needs=WSGI,
    measure=measure,
    columns=(
        Column("connections", "{connections:,.0f}"),
        Column("bytes each", "{bytes:,.0f}"),
        Column("MiB before", "{before_mib:.1f}"),
        Column("MiB with them", "{during_mib:.1f}"),
    ),
    primary="bytes",
    more_is_better=False,
    targets=(Target("Memory of an idle connection", "bytes", "at most", 1536, unit="bytes"),),
    obstacle=too_few_descriptors,
    seconds=5.0,
    enough=1,
)
