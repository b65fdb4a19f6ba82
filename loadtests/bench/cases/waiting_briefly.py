"""Requests that wait 50 ms in the application, as if for another service, on few, many and very many connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .. import wrk
from ..launch import Running
from ..stats import Sample
from .case import EVENTS, WAITING_SERVERS, Case, Options, too_few_descriptors
from .hello import COLUMNS, PROBE
from .hello import obstacle as no_wrk

# So many connections take a while to be made, by wrk in the time that it measures.
MANY: Final = 10_000
MANY_SECONDS: Final = 4


def measured_with(connections: int) -> Callable[[Running, Options], Sample]:
    """Make the measurement of a round with so many connections, but no more than the run allows."""

    def measure(server: Running, options: Options) -> Sample:
        count = min(connections, options.connections)
        wrk.warm_up(server.url(), min(count, 64), options.warm_up)
        result = wrk.run_wrk(
            server.url(), count, max(options.seconds, MANY_SECONDS) if count >= MANY else options.seconds
        )
        return {"rate": result.rate, "p50_ms": result.percentiles["50"], "p99_ms": result.percentiles["99"]}

    return measure


def obstacle(options: Options) -> str | None:
    """Say what forbids the case."""
    return too_few_descriptors(options) or no_wrk(options)


def waiting(connections: int, servers: tuple[str, ...]) -> Case:
    """Make the case with so many connections."""
    return Case(
        name=f"io-{connections}",
        title=f"I/O-bound, {connections:,} connections",
        method=(
            f"The application sleeps for 50 ms (`time.sleep(0.05)`); wrk, one thread, {connections:,} keep-alive "
            f"connections: no server can give more than {connections * 20:,} req/s."
        ),
        app="loadtests.bench.apps.plain:pause",
        probe=PROBE,
        servers=servers,
        needs="wsgi",
        measure=measured_with(connections),
        columns=COLUMNS,
        primary="rate",
        more_is_better=True,
        obstacle=obstacle,
        seconds=4.0 if connections >= MANY else 0.0,
    )


IO_100: Final = waiting(100, WAITING_SERVERS)
IO_1000: Final = waiting(1000, WAITING_SERVERS)
IO_10000: Final = waiting(MANY, EVENTS)
