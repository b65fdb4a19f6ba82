"""The cost of a request as work grows: with more connections, and with more requests in flight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .. import wrk
from ..launch import Running
from ..stats import Sample
from .case import Case, Column, Options
from .hello import PROBE
from .waiting_briefly import MANY, MANY_SECONDS, obstacle

SERVERS: Final = ("hublet", "gunicorn gevent", "gevent.pywsgi", "granian")
YIELDING: Final = SERVERS[:3]
FIGURES: Final = {
    "rate": "requests in a second", "p99_ms": "p99, ms", "mib": "memory, MiB",
    "cost_us": "processor time of a request, µs",
}  # fmt: skip


def measured_at(points: tuple[int, ...]) -> Callable[[Running, Options], Sample]:
    """Make the measurement of a round: one server, and wrk with each number of connections."""

    def measure(server: Running, options: Options) -> Sample:
        wrk.warm_up(server.url(), 16, options.warm_up)
        sample: dict[str, float] = {}
        for point in points:
            count = min(point, options.connections)
            before = server.processor_seconds()
            seconds = max(options.seconds, MANY_SECONDS) if count >= MANY else options.seconds
            result = wrk.run_wrk(server.url(), count, seconds)
            sample |= {
                f"rate_{point}": result.rate,
                f"p99_ms_{point}": result.percentiles["99"],
                f"mib_{point}": server.resident_bytes() / 2**20,
                f"cost_us_{point}": (server.processor_seconds() - before) / result.requests * 1e6,
            }
        return sample

    return measure


def growth(name: str, title: str, method: str, app: str, points: tuple[int, ...], servers: tuple[str, ...]) -> Case:
    """Make a case that is measured at several points."""
    return Case(
        name=name,
        title=title,
        method=method + " Cells are req/s, p99 in ms, resident MiB after it, and µs of processor time for a request.",
        app=app,
        probe=PROBE,
        servers=servers,
        needs="wsgi",
        measure=measured_at(points),
        columns=tuple(
            Column(
                f"{point:,}",
                f"{{rate_{point}:,.0f}} / {{p99_ms_{point}:,.1f}} / {{mib_{point}:,.0f}} / {{cost_us_{point}:,.0f}}",
            )
            for point in points
        ),
        primary=f"rate_{points[-1]}",
        more_is_better=True,
        obstacle=obstacle,
        curves=(points, FIGURES),
        seconds=len(points) + 3.0,
    )


CONNECTIONS: Final = growth(
    "growth-connections",
    "As connections grow",
    "Hello, World! on 1 to 10,000 connections, all of which ask as fast as they can.",
    "loadtests.bench.apps.plain:hello",
    (1, 10, 100, 1000, MANY),
    SERVERS,
)
IN_FLIGHT: Final = growth(
    "growth-in-flight",
    "As requests in flight grow",
    "Requests that wait 50 ms in the application, 1 to 1,000 of them at once.",
    "loadtests.bench.apps.plain:pause",
    (1, 10, 100, 300, 1000),
    YIELDING,
)
