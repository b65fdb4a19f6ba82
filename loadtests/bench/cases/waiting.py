"""Thousands of requests that all wait in the application at once."""

from __future__ import annotations

from typing import Final

from ..apps.plain import GREETING
from ..launch import Probe, Running
from ..load import run_client
from ..servers.server import YIELDS
from ..stats import Sample
from .case import EVENTS, Case, Column, Options, Target, too_few_descriptors

WAVES: Final = 3


def measure(server: Running, options: Options) -> Sample:
    """Run the client; its answer has the figures of every wave."""
    answer = run_client(
        "waiting", "--port", str(server.port), "--connections", str(options.connections), "--waves", str(WAVES)
    )
    return {name: float(value) for name, value in answer.items()}


WAITING: Final = Case(
    name="waiting",
    title="Waiting requests",
    method=(
        "An application that sleeps for one second (`time.sleep(1)`). All connections are made first; then, three "
        "times, one request is sent on each as fast as possible, and timed from sending it to the last byte of its "
        "answer. Errors count over all waves."
    ),
    app="loadtests.bench.apps.plain:wait",
    probe=Probe("/", GREETING),
    servers=EVENTS[:3],
    needs=YIELDS,
    measure=measure,
    columns=(
        Column("connections", "{connections:,.0f}"),
        Column("errors", "{errors:,.0f}"),
        *(
            Column(f"wave {wave}: p50 / p99 / max, s", f"{{p50_{wave}:.2f}} / {{p99_{wave}:.2f}} / {{max_{wave}:.2f}}")
            for wave in range(1, WAVES + 1)
        ),
    ),
    primary="p99_1",
    more_is_better=False,
    worst=frozenset({"errors"}),
    targets=(
        Target("Waiting requests, errors in any round", "errors", "at most", 0),
        Target("Waiting requests, p99 of the first wave", "p99_1", "at most", 1.5, unit="s"),
    ),
    obstacle=too_few_descriptors,
    seconds=10.0,
    enough=1,
)
