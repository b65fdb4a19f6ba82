"""Fast clients while slow ones send their requests piece by piece."""

from __future__ import annotations

from typing import Final

from .. import wrk
from ..errors import RoundFailed
from ..launch import Probe, Running
from ..load import client
from ..stats import Sample
from .case import WAITING_SERVERS, Case, Column, Options
from .hello import COLUMNS, CONNECTIONS, obstacle

SLOW: Final = 200


def measure(server: Running, options: Options) -> Sample:
    """Measure the fast clients while the slow ones are at work; errors of either fail the round."""
    with client("slow", "--port", str(server.port), "--connections", str(SLOW)) as slow:
        slow.read_answer()
        wrk.warm_up(server.url(), CONNECTIONS, options.warm_up)  # the slow ones begin to be answered meanwhile
        result = wrk.run_wrk(server.url(), CONNECTIONS, max(2, options.seconds))
        answer = slow.finish()
    if answer["errors"] or not answer["answered"]:
        raise RoundFailed(
            f"of the slow requests {answer['errors']:,} failed and {answer['answered']:,} were answered",
            int(answer["errors"]),
        )
    return {
        "rate": result.rate, "p50_ms": result.percentiles["50"], "p99_ms": result.percentiles["99"],
        "slow_ms": answer["p99_ms"],
    }  # fmt: skip


MIXED: Final = Case(
    name="mixed",
    title="Fast clients among slow ones",
    method=(
        f"wrk with {CONNECTIONS} keep-alive connections asks as fast as it can, while {SLOW} slow clients upload 1,000 "
        "bytes each in 20 pieces, one every 50 ms. Figures are of the fast clients; the last column is how long a slow "
        "one waits for its answer after its last piece, in steps of 50 ms."
    ),
    app="loadtests.bench.apps.plain:count_upload",
    probe=Probe("/", b"0"),
    servers=WAITING_SERVERS,
    needs="wsgi",
    measure=measure,
    columns=(*COLUMNS, Column("p99 ms of the slow", "{slow_ms:.0f}")),
    primary="rate",
    more_is_better=True,
    obstacle=obstacle,
    seconds=1.0,
)
