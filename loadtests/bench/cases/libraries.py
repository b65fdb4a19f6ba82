"""What patched libraries cost and whether they yield, and what a call on a native thread costs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ..libraries.measure import AT_ONCE
from ..libraries.servers import private_servers
from ..load import Answer, program
from ..servers.libraries import LIBRARIES, OFFLOAD, THREAD_POOL
from ..servers.server import LIBRARY, POOL, Server
from ..stats import Sample
from .case import Case, Column, Options, Target

# A part of a round's seconds for each way of patching, since an operation takes microseconds.
PART: Final = 0.2
MOST_STALL: Final = 50.0  # milliseconds
PATIENCE: Final = 40.0  # seconds; twenty operations that block take four
NAMES: Final = tuple(server.name for server in LIBRARIES)


def measured_in_process(kind: str, name: str, way: str, seconds: float, directory: Path, core: int) -> Answer:
    """Run the process that measures, on the servers' core. Raises RoundFailed with its last words."""
    command = (sys.executable, "-m", "loadtests.bench.libraries.measure", kind, name, way, str(seconds), str(directory))
    with program(name, "taskset", "-c", str(core), *command, patience=PATIENCE) as process:
        return process.read_answer()


def costs(server: Server, options: Options, directory: Path) -> Sample:
    """Measure a small operation in a process where nothing is patched, and in those of gevent and of hublet."""
    plain, gevent, hublet = (
        measured_in_process("costs", server.name, way, PART * options.seconds, directory, options.server_core)
        for way in ("plain", "gevent", "hublet")
    )
    return {
        "plain_us": plain["alone_us"],
        "gevent_us": gevent["alone_us"],
        "hublet_us": hublet["alone_us"],
        "at_once_us": hublet["at_once_us"],
        "times": hublet["alone_us"] / plain["alone_us"],
    }


def stalls(server: Server, options: Options, directory: Path) -> Sample:
    """Measure slow operations at once under gevent and under hublet."""
    sample: dict[str, float] = {}
    for way in ("gevent", "hublet"):
        answer = measured_in_process("stalls", server.name, way, options.seconds, directory, options.server_core)
        sample |= {f"{way}_{name}": value for name, value in answer.items()}
    return sample


def offloading(server: Server, options: Options, directory: Path) -> Sample:
    """Measure a call of nothing."""
    name = "hublet" if server.name == OFFLOAD else "gevent"
    return measured_in_process("offloading", name, "hublet", PART * options.seconds, directory, options.server_core)


OFFLOADING: Final = Case(
    name="offloading",
    title="A call on a native thread",
    method=(
        "`abs(1)` on a native thread while its greenlet waits: by `hublet.offload` and by `apply` of gevent's own "
        f"thread pool, one after the other, and by {AT_ONCE} greenlets at once, all on one core."
    ),
    servers=(OFFLOAD, THREAD_POOL),
    subjects=(OFFLOAD,),
    needs=POOL,
    alone=offloading,
    columns=(Column("µs in sequence", "{alone_us:.1f}"), Column(f"µs each, {AT_ONCE} at once", "{at_once_us:.1f}")),
    primary="alone_us",
    more_is_better=False,
    targets=(
        Target("Off-loading in sequence", "alone_us", "at most", 30, unit="µs", subject=OFFLOAD),
        Target("Off-loading, at once", "at_once_us", "at most", 10, unit="µs", subject=OFFLOAD),
        Target("Off-loading in sequence, over gevent's", "alone_us", "at least", 2, THREAD_POOL, subject=OFFLOAD),
        Target("Off-loading, at once, over gevent's", "at_once_us", "at least", 2, THREAD_POOL, subject=OFFLOAD),
    ),
    seconds=-1.8,
)

COSTS: Final = Case(
    name="library-costs",
    title="A small operation of a library",
    method=(
        "`SELECT 1` and its rows with databases, a get of a missing key with caches, a GET on a kept connection, a "
        "search for one entry, a message between two sockets: in a plain Python process, in one that gevent's "
        "`monkey.patch_all` has patched, and in one that `hublet.patch_all` has, one operation after the other. "
        f"The last figure is of {AT_ONCE} greenlets at once, each on a connection of its own. The servers are private "
        "ones on the load generator's core. grpcio is not among them, for its calls never end under gevent alone."
    ),
    servers=NAMES,
    subjects=(),
    needs=LIBRARY,
    alone=costs,
    columns=(
        Column("µs, plain Python", "{plain_us:,.1f}"),
        Column("µs, gevent", "{gevent_us:,.1f}"),
        Column("µs, hublet", "{hublet_us:,.1f}"),
        Column(f"µs, hublet, {AT_ONCE} at once", "{at_once_us:,.1f}"),
        Column("hublet over plain", "{times:.2f} x"),
    ),
    primary="times",
    more_is_better=False,
    beside=lambda options, directory: private_servers(directory),
    seconds=-0.8,
    bars={
        "plain_us": "plain Python", "gevent_us": "gevent", "hublet_us": "hublet",
        "at_once_us": f"hublet, {AT_ONCE} at once",
    },
    bars_unit="µs",
    over="plain Python",
)  # fmt: skip

STALLS: Final = Case(
    name="library-stalls",
    title="Waiting operations of a library",
    method=(
        f"{AT_ONCE} operations of 200 ms at once, each on a connection of its own that is made before: a query that "
        "sleeps, a wait for a lock (of SQLite, with `synchronous=OFF`) or for an element of a list, an answer that a "
        "proxy passes on late. "
        "`gevent` is a process that its `monkey.patch_all` has patched. Operations that yield take 0.2 s "
        f"together, those that block {AT_ONCE} times as long; the stall is the longest time for which nothing else in "
        "the process could run. hublet makes them again for as long as a round is, and the worst counts."
    ),
    servers=NAMES,
    subjects=(),
    needs=LIBRARY,
    alone=stalls,
    columns=(
        Column("longest stall in ms, hublet", "{hublet_stall_ms:,.0f}"),
        Column("s for all, hublet", "{hublet_elapsed_s:.2f}"),
        Column("longest stall in ms, gevent", "{gevent_stall_ms:,.0f}"),
        Column("s for all, gevent", "{gevent_elapsed_s:.2f}"),
    ),
    primary="hublet_stall_ms",
    more_is_better=False,
    targets=tuple(
        Target(
            f"Waiting operations of {name}, longest stall", "hublet_stall_ms", "at most", MOST_STALL, unit="ms",
            subject=name,
        )
        for name in NAMES
    ),
    beside=lambda options, directory: private_servers(directory),
    seconds=2.5,
    enough=1,
    bars={"gevent_stall_ms": "gevent", "hublet_stall_ms": "hublet"},
    bars_unit="ms",
)  # fmt: skip
