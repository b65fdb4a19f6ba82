"""How long a server takes from its start to its first answer, and what it occupies then."""

from __future__ import annotations

from typing import Final

from ..apps.plain import GREETING
from ..launch import Probe, Running
from ..stats import Sample
from .case import SERVERS, Case, Column, Options


def measure(server: Running, options: Options) -> Sample:
    """Read what is known since the server answered."""
    return {"start_ms": server.start_seconds * 1000, "mib": server.resident_bytes() / 2**20}


STARTUP: Final = Case(
    name="startup",
    title="Start-up",
    method="From the start of the process to the first right answer of a Flask application, asked for every 5 ms.",
    app="loadtests.bench.apps.flask_hello:app",
    probe=Probe("/", GREETING),
    servers=SERVERS,
    needs="wsgi",
    measure=measure,
    columns=(Column("ms", "{start_ms:,.0f}"), Column("MiB resident then", "{mib:.1f}")),
    primary="start_ms",
    more_is_better=False,
    seconds=-2.0,
)
