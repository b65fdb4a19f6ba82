"""What a case is made of: application, servers, how one round is measured, how it is shown, what is aimed at."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ..launch import Probe, Running
from ..servers.server import GRANIAN_THREADS, Server
from ..stats import Sample

# Descriptors that a client or a server needs beside its connections: libraries, listeners, logs, the event loop.
SPARE_DESCRIPTORS: Final = 200
# The server that all this is about, under the name that it has where it takes part once.
SUBJECT: Final = "hublet"
# Those that wait for many requests on one thread, and all that run the same WSGI application.
EVENTS: Final = ("hublet", "gunicorn gevent", "gevent.pywsgi", "uWSGI gevent")
SERVERS: Final = (
    *EVENTS, "bjoern", "fastwsgi", "granian", "gunicorn gthread", "gunicorn sync", "waitress", "cheroot",
    "uvicorn a2wsgi",
)  # fmt: skip
# The same where requests wait in the application: each server with threads has as many as the others.
WAITING_SERVERS: Final = tuple(GRANIAN_THREADS if name == "granian" else name for name in SERVERS)


@dataclass(frozen=True, slots=True)
class Options:
    """How large the run is: `connections` are those of the crowded cases, MiB those of the transfers.

    There are `rounds` of `seconds` each, which begin after `warm_up` seconds. `seed` is what the order of the servers
    in each round is drawn from.
    """

    rounds: int = 3
    seconds: int = 2
    warm_up: int = 1
    connections: int = 10_000
    transfer_mib: int = 1024
    server_core: int = 0
    load_core: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the report: its heading, and a format string over the figures' names, such as "{rate:,.0f}"."""

    heading: str
    form: str


@dataclass(frozen=True, slots=True)
class Target:
    """What `subject` is to reach: its `figure` at least or at most `bound`, or its ratio to that of the server `over`.

    Ratios are "times as good as", so more is better in them whatever the figure is.
    """

    text: str
    figure: str
    sense: Literal["at least", "at most"]
    bound: float
    over: str | None = None
    unit: str = ""
    subject: str = SUBJECT


def no_obstacle(options: Options) -> str | None:
    """Give the obstacle of cases that run everywhere: none."""
    return None


def nothing_beside(options: Options, directory: Path) -> AbstractContextManager[None]:
    """For cases whose servers need no other program."""
    return nullcontext()


def measure_nothing(server: Running, options: Options) -> Sample:
    """Stand for the measurement where there is no server to measure."""
    raise TypeError(f"{server.name} was started, but its case measures no server")


def prepare_nothing(options: Options, directory: Path) -> None:
    """For cases whose servers need no files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is measured for several servers.

    `servers` are those compared by default; any other server that has the ability `needs` may be asked for by name.
    `subjects` are those of ours, which the others are compared with. `app` is the application, and is empty where every
    server has a program of its own.
    Where there is no server to start, `alone` takes a round's figures by itself.
    `primary` is the figure that ratios are made of, `worst` names those whose maximum over the rounds is shown rather
    than the median. `obstacle` says what on this machine forbids the case, `prepare` makes its files, and `measure`
    takes one round's figures from a server that runs. `beside` is what runs beside the servers, for all rounds.
    `seconds` is what a round takes more than others do, for the estimate of the time left, and `enough` says how many
    rounds will do, where the figure hardly varies. `curves` are the points that were measured, and what there is to
    plot over them: headings by the names of figures, which end in the point. `bars` are figures to plot side by
    side, in `bars_unit`, with what they are. Where there are no subjects, and the primary figure is how many times as
    much hublet takes as something else, that is `over`.
    """

    name: str
    title: str
    method: str
    app: str = ""
    probe: Probe = Probe("/", b"")
    servers: tuple[str, ...]
    subjects: tuple[str, ...] = (SUBJECT,)
    needs: str
    measure: Callable[[Running, Options], Sample] = measure_nothing
    alone: Callable[[Server, Options, Path], Sample] | None = None
    columns: tuple[Column, ...]
    primary: str
    more_is_better: bool
    worst: frozenset[str] = frozenset()
    targets: tuple[Target, ...] = ()
    obstacle: Callable[[Options], str | None] = no_obstacle
    prepare: Callable[[Options, Path], None] = prepare_nothing
    beside: Callable[[Options, Path], AbstractContextManager[None]] = nothing_beside
    seconds: float = 0.0
    enough: int = 99
    curves: tuple[tuple[int, ...], Mapping[str, str]] | None = None
    bars: Mapping[str, str] | None = None
    bars_unit: str = ""
    over: str = ""


def too_few_descriptors(options: Options) -> str | None:
    """The obstacle of the crowded cases: client and server need a descriptor for each connection."""
    needed = options.connections + SPARE_DESCRIPTORS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        return (
            f"{options.connections:,} connections need {needed:,} descriptors, but the hard limit is {hard:,}: "
            f"raise it (ulimit -Hn {needed}) or ask for fewer (--connections {max(1, hard - SPARE_DESCRIPTORS)})"
        )
    return None
