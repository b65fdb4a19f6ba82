"""WebSocket messages that come back: of several sizes and compressed, one under way on each of 64 connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import RoundFailed
from ..launch import Running
from ..servers.server import DEFLATE, WEBSOCKET
from ..stats import Sample
from ..websocket import ECHO_PROBE
from ..wsload import run_wsload, wsload_obstacle
from .case import Case, Column, Options, Target

CONNECTIONS: Final = 64
CALLBACK: Final = "hublet callback"
BLOCKING: Final = "hublet blocking"
SUBJECTS: Final = (CALLBACK, BLOCKING)


def obstacle(options: Options) -> str | None:
    """Say what is missing where wsload cannot be compiled."""
    return wsload_obstacle()


def measured_by_wsload(size: int, *arguments: str) -> Callable[[Running, Options], Sample]:
    """Make the measurement of a round with messages of `size` bytes."""

    def measure(server: Running, options: Options) -> Sample:
        answer = run_wsload(
            server.port, "/echo", "-n", str(CONNECTIONS), "-s", str(size), "-w", str(options.warm_up),
            "-d", str(options.seconds), *arguments,
        )  # fmt: skip
        if "-z" in arguments and answer["compressed"] < answer["msgs"]:
            raise RoundFailed(f"only {answer['compressed']:,} of {answer['msgs']:,} echoes were compressed")
        return {
            "rate": answer["msg_per_s"],
            "megabytes": answer["MB_per_s"],
            "p50_ms": answer["p50_us"] / 1000,
            "p99_ms": answer["p99_us"] / 1000,
            "spread": answer["p99_us"] / answer["p50_us"],
            "client_cpu": answer["client_cpu"],
        }

    return measure


COLUMNS: Final = (
    Column("messages/s", "{rate:,.0f}"),
    Column("MB/s each way", "{megabytes:,.1f}"),
    Column("p50 ms", "{p50_ms:.2f}"),
    Column("p99 ms", "{p99_ms:.2f}"),
    Column("p99 / p50", "{spread:.2f}"),
)
PLAIN: Final = (
    CALLBACK, BLOCKING, "Node ws", "picows", "aiohttp", "uvicorn websockets", "websockets", "gevent-websocket",
)  # fmt: skip


def echo(name: str, length: str, size: int, targets: tuple[Target, ...]) -> Case:
    """Make the case of messages of a size, without compression."""
    return Case(
        name=name,
        title=f"WebSocket echo of {length}",
        method=(
            f"Text messages of {length}, one under way on each of {CONNECTIONS} connections; wsload, a load generator "
            "in C. picows is the one that neither checks nor decodes the text."
        ),
        probe=ECHO_PROBE,
        servers=PLAIN,
        subjects=SUBJECTS,
        needs=WEBSOCKET,
        measure=measured_by_wsload(size),
        columns=COLUMNS,
        primary="rate",
        more_is_better=True,
        targets=targets,
        obstacle=obstacle,
    )


ECHO_32: Final = echo(
    "ws-echo-32",
    "32 bytes",
    32,
    (
        Target("WebSocket echo of 32 bytes by callback, over Node ws", "rate", "at least", 1.5, "Node ws",
               subject=CALLBACK),
        Target("WebSocket echo of 32 bytes by blocking receive, over Node ws", "rate", "at least", 1.0, "Node ws",
               subject=BLOCKING),
        Target("WebSocket echo of 32 bytes by callback, p99 over p50", "spread", "at most", 3.0, subject=CALLBACK),
        Target("WebSocket echo of 32 bytes by blocking receive, p99 over p50", "spread", "at most", 3.0,
               subject=BLOCKING),
    ),
)  # fmt: skip

ECHO_1K: Final = echo(
    "ws-echo-1k",
    "1 KiB",
    1024,
    (Target("WebSocket echo of 1 KiB by callback, over picows", "rate", "at least", 1.2, "picows", subject=CALLBACK),),
)

ECHO_64K: Final = echo(
    "ws-echo-64k",
    "64 KiB",
    65536,
    (Target("WebSocket echo of 64 KiB by callback, over picows", "rate", "at least", 1.0, "picows", subject=CALLBACK),),
)

DEFLATED: Final = Case(
    name="ws-deflate",
    title="WebSocket echo of 1 KiB, compressed",
    method=(
        "The same with permessage-deflate both ways, without context takeover: every message is inflated and "
        "deflated by itself. Servers keep their own compression levels."
    ),
    probe=ECHO_PROBE,
    servers=(CALLBACK, BLOCKING, "websockets", "Node ws", "aiohttp", "uvicorn websockets"),
    subjects=SUBJECTS,
    needs=DEFLATE,
    measure=measured_by_wsload(1024, "-z"),
    columns=COLUMNS,
    primary="rate",
    more_is_better=True,
    targets=(
        Target(
            "Compressed WebSocket echo of 1 KiB by callback, over websockets", "rate", "at least", 1.0, "websockets",
            subject=CALLBACK,
        ),
    ),
    obstacle=obstacle,
)  # fmt: skip
