"""Runs each way under short requests, long requests and connections that stay, and lets a worker go under load."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..bench.launch import ROOT
from ..bench.report import table
from ..chaos.clients import HttpConnection
from ..chaos.cluster import cluster
from ..private.process import free_port
from .prototype import BACKLOG, HOST

WAYS: Final = ("hublet", "shared", "exclusive", "reuseport")
SECONDS: Final = 2.0
CLIENTS: Final = 32
HELD: Final = 64
LONG: Final = "/?0.3"
HEADINGS: Final = (
    "Way", "Connections/s", "Spread: short", "Long requests", "Kept connections", "Lost when a worker leaves",
)  # fmt: skip


@contextmanager
def two_workers(way: str, directory: Path) -> Iterator[tuple[int, Callable[[], set[int]]]]:
    """Run two workers for the `with` block: their port, and how their process ids are found."""
    if way == "hublet":
        with cluster(directory, 5.0) as made:
            yield made.port, made.workers
        return
    port = free_port()
    with socket.socket() as listener:
        if way != "reuseport":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            listener.listen(BACKLOG)
        where = port if way == "reuseport" else listener.fileno()
        command = [sys.executable, "-m", "loadtests.sharing.prototype", way, str(where)]
        descriptors = () if way == "reuseport" else (listener.fileno(),)
        processes = [subprocess.Popen(command, cwd=ROOT, pass_fds=descriptors) for _ in range(2)]
        try:
            while len(asyncio.run(short(port, 0.1))[0]) < 2:
                pass  # one of them has not started yet
            yield port, lambda: {each.pid for each in processes if each.poll() is None}
        finally:
            for each in processes:
                each.kill()
                each.wait()


async def short(port: int, seconds: float) -> tuple[Counter[str], int]:
    """Requests on a connection each: answers by worker, and failures."""
    served: Counter[str] = Counter()
    lost = 0
    deadline = time.monotonic() + seconds

    async def client() -> None:
        nonlocal lost
        while time.monotonic() < deadline:
            connection = HttpConnection(port)
            try:
                served[(await connection.ask("/", close=True)).split()[1]] += 1
            except (OSError, EOFError):
                lost += 1
                await asyncio.sleep(0.01)
            connection.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return served, lost


async def held(port: int, path: str) -> Counter[str]:
    """Connections that are open at once, one request on each: how many each worker has."""
    connections = [HttpConnection(port) for _ in range(HELD)]
    answers = await asyncio.gather(*(each.ask(path, close=False) for each in connections))
    for each in connections:
        each.close()
    return Counter(answer.split()[1] for answer in answers)


async def leaving(port: int, pid: int) -> int:
    """Short requests while a worker is told to leave: how many fail."""
    load = asyncio.ensure_future(short(port, SECONDS))
    await asyncio.sleep(SECONDS / 2)
    os.kill(pid, signal.SIGTERM)
    return (await load)[1]


def spread(counts: Counter[str]) -> str:
    """The share of the busier worker."""
    return f"{max(counts.values()) / counts.total():.0%}"


def measure(way: str, directory: Path) -> tuple[str, ...]:
    """Measure one way: its row of the table."""
    with two_workers(way, directory / way) as (port, workers):
        served, lost = asyncio.run(short(port, SECONDS))
        long, kept = asyncio.run(held(port, LONG)), asyncio.run(held(port, "/"))
        lost += asyncio.run(leaving(port, min(workers())))
    return (way, f"{served.total() / SECONDS:,.0f}", spread(served), spread(long), spread(kept), str(lost))


def main() -> None:
    """Print the table; the shares are those of the busier one of two workers."""
    with tempfile.TemporaryDirectory(prefix="hublet-sharing-") as name:
        print(table(HEADINGS, [measure(way, Path(name)) for way in WAYS]))


if __name__ == "__main__":
    main()
