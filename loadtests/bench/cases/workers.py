"""Requests that compute: what a second worker on a second processor adds."""

from __future__ import annotations

import time
from typing import Final

from .. import wrk
from ..apps.plain import COMPUTED
from ..launch import Probe, Running
from ..servers.server import WSGI
from ..stats import Sample
from .case import Case, Column, Options, Target
from .hello import COLUMNS, CONNECTIONS, obstacle

SUBJECT: Final = "hublet 2 workers"
# A worker that computes notices only then that the connections of the warm-up have been closed.
SETTLE_SECONDS: Final = 0.5


def measure(server: Running, options: Options) -> Sample:
    """Measure the rate, and what the server's processes compute for a request, which other programs hardly change."""
    wrk.warm_up(server.url(), CONNECTIONS, options.warm_up)
    time.sleep(SETTLE_SECONDS)
    before = server.processor_seconds()
    result = wrk.run_wrk(server.url(), CONNECTIONS, options.seconds)
    return {
        "rate": result.rate,
        "p50_ms": result.percentiles["50"],
        "p99_ms": result.percentiles["99"],
        "processor_us": (server.processor_seconds() - before) / result.requests * 1e6,
    }


SCALING: Final = Case(
    name="workers",
    title="Two workers on two cores",
    method=(
        "Each request computes for about 2 ms in Python, so that the load generator, which has the second core for "
        "itself beside one worker and shares it with the second of two, takes a small part of it. "
        "The connections that are measured are opened half a second after those of the warm-up were closed."
    ),
    app="loadtests.bench.apps.plain:compute",
    probe=Probe("/", COMPUTED),
    servers=(SUBJECT, "hublet"),
    subjects=(SUBJECT,),
    needs=WSGI,
    measure=measure,
    columns=(*COLUMNS, Column("processor µs", "{processor_us:,.0f}")),
    primary="rate",
    more_is_better=True,
    targets=(Target("Two workers, over one", "rate", "at least", 1.8, over="hublet", subject=SUBJECT),),
    obstacle=obstacle,
)
