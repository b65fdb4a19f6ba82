"""How long a server takes from its start to its first answer, and what it occupies then."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..apps.plain import GREETING
from ..launch import Probe, running
from ..servers.server import Server
from ..stats import Sample
from .case import SERVERS, Case, Column, Options

APP: Final = "loadtests.bench.apps.flask_hello:app"
PROBE: Final = Probe("/", GREETING)


def start_twice(server: Server, options: Options, directory: Path) -> Sample:
    """Start a server once, which compiles what it imports, and a second time, which is measured."""
    with running(server, APP, directory, options.server_core, PROBE):
        pass
    with running(server, APP, directory, options.server_core, PROBE) as target:
        return {"start_ms": target.start_seconds * 1000, "mib": target.resident_bytes() / 2**20}


STARTUP: Final = Case(
    name="startup",
    title="Start-up",
    method=(
        "From the start of the process to the first right answer of a Flask application, asked for every 5 ms. Each "
        "server is started twice and the second start is measured, so that all find their modules compiled; hublet, "
        "too, is in an environment with nothing but what it needs, of the same interpreter as that of the others."
    ),
    servers=SERVERS,
    needs="wsgi",
    alone=start_twice,
    columns=(Column("ms", "{start_ms:,.0f}"), Column("MiB resident then", "{mib:.1f}")),
    primary="start_ms",
    more_is_better=False,
    seconds=-0.8,
)
