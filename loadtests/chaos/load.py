"""Runs the clients and wrk beside each other, and says what came of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from ..bench.errors import RoundFailed
from ..bench.launch import ROOT
from ..bench.wrk import PROGRAM, WrkResult, parse_wrk
from .tally import Tally

# Longer than any step: wrk is told when to end by SIGINT, on which it prints its figures.
WRK_SECONDS: Final = 3600
END_SECONDS: Final = 30.0


class Counts(NamedTuple):
    """How many clients there are of each kind, and the connections of wrk; 0: no wrk."""

    keep_alive: int = 8
    fresh: int = 4
    slow: int = 4
    websocket: int = 16
    wrk: int = 16


class Load:
    """The clients and wrk while they run."""

    def __init__(self, clients: subprocess.Popen[str], wrk: subprocess.Popen[str] | None) -> None:
        self._clients = clients
        self._wrk = wrk

    def report(self) -> Tally:
        """What has happened since this was last called. Raises RoundFailed if the clients have ended."""
        assert self._clients.stdin is not None
        assert self._clients.stdout is not None
        try:
            self._clients.stdin.write("report\n")
            self._clients.stdin.flush()
        except BrokenPipeError as error:
            raise RoundFailed("the clients have ended by themselves") from error
        line = self._clients.stdout.readline()
        if not line:
            raise RoundFailed("the clients have ended by themselves")
        return Tally.from_line(line)

    def end_wrk(self) -> WrkResult:
        """End wrk, and give its figures; all zero if it was not asked for. Raises RoundFailed."""
        if self._wrk is None:
            return WrkResult()
        self._wrk.send_signal(signal.SIGINT)
        output, errors = self._wrk.communicate(timeout=END_SECONDS)
        if self._wrk.returncode:
            raise RoundFailed(f"wrk ended with status {self._wrk.returncode}: {errors.strip()}")
        self._wrk = None
        return parse_wrk(output)

    def end(self) -> None:
        """End all of it."""
        for process in (self._clients, self._wrk):
            if process is not None:
                process.kill()
                process.communicate()


@contextmanager
def load(port: int, counts: Counts) -> Iterator[Load]:
    """Load a port for the `with` block."""
    words = [str(count) for count in counts[:-1]]
    clients = subprocess.Popen(
        [sys.executable, "-m", "loadtests.chaos.clients", str(port), *words],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wrk = None
    if counts.wrk:
        command = [PROGRAM, "--latency", "-t1", f"-c{counts.wrk}", f"-d{WRK_SECONDS}s", "--timeout=15s"]
        wrk = subprocess.Popen(
            [*command, f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    made = Load(clients, wrk)
    try:
        yield made
    finally:
        made.end()
