"""The application under test, served by hublet in a process of its own, and what it says about itself meanwhile."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from ..runtime.errors import HubletError
from ..runtime.lifeline import LIFELINE_VARIABLE
from .interrupts import Interrupts
from .tls import speaks_tls

START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 15.0
POLL: Final = 0.05
LOG_TAIL: Final = 15  # lines
# A process has ended that is so many of its intervals, and seconds, behind the others; a blocked one still writes.
ENDED_INTERVALS: Final = 3
ENDED_SECONDS: Final = 5.0
# What a process has now, as opposed to what it has done, which stays when it ends.
GAUGES: Final = ("connections", "in_flight", "queued", "websockets", "memory")
COUNTERS: Final = ("requests", "rejected", "cpu")


class ServerFailed(HubletError):
    """The server did not start, or has ended. `log` is the end of what it wrote."""

    def __init__(self, problem: str, log: str) -> None:
        self.log = log
        super().__init__(f"{problem}; the end of its log:\n{log}")


class TestedServer:
    """`hublet target` on a free port of 127.0.0.1; a context manager. Its files are put into `folder`.

    `url` is known once it is entered: with https where the server's settings, whichever their source, turn TLS on.
    """

    def __init__(
        self, target: str, options: Sequence[str], folder: Path, interval: float, interrupts: Interrupts
    ) -> None:
        self.url = ""
        self._interrupts = interrupts
        self.statistics_file = folder / "server.jsonl"
        self.log_file = folder / "server.log"
        self.statistics_file.unlink(missing_ok=True)
        # Opened here and handed down: so the port is known and nobody else can have it.
        # Only this process has the write end: the server reads its end when this one is gone, even by SIGKILL.
        reader, self._lifeline = os.pipe()
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            self.log_file.open("wb") as log,
            open(reader, "rb"),
        ):
            self._port = listener.getsockname()[1]
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "hublet", target, "--bind", f"fd://{listener.fileno()}"),
                    *("--statistics-file", str(self.statistics_file.absolute())),
                    *("--statistics-interval", str(interval), "--grace", "2", *options),
                ],
                pass_fds=[listener.fileno(), reader],
                env={**os.environ, LIFELINE_VARIABLE: str(reader)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # a terminal's Ctrl-C is for this process, which ends the server in its turn
            )

    def __enter__(self) -> Self:
        try:
            self._wait_until_serving()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_serving(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self.objects():
            if self._process.poll() is not None:
                raise ServerFailed(f"the server ended with status {self._process.returncode}", self.log_tail())
            if time.monotonic() > deadline:
                raise ServerFailed(f"the server did not start within {START_TIMEOUT:g} s", self.log_tail())
            self._interrupts.check()
            time.sleep(POLL)
        self.url = f"{'https' if speaks_tls('127.0.0.1', self._port) else 'http'}://127.0.0.1:{self._port}"

    def log_tail(self) -> str:
        """The last lines of the server's log."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-LOG_TAIL:])

    def status(self) -> int | None:
        """With what the server has ended; None while it runs."""
        return self._process.poll()

    def objects(self) -> list[dict[str, Any]]:
        """What the server has said about itself so far."""
        return read_objects(self.statistics_file)

    def stop(self) -> None:
        """Let the server finish, or kill it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)  # with its workers
        self._process.wait()
        os.close(self._lifeline)


def read_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a statistics file; a last line that is not yet whole is left out."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


class StatisticsReader:
    """Reads what a growing statistics file has more than last time, and sums it up over processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._latest: dict[int, dict[str, Any]] = {}
        self._intervals: dict[int, float] = {}
        self.blockers: dict[tuple[str, int, str], dict[str, Any]] = {}

    def skip(self) -> None:
        """Leave out what the server has written until now: only its state, not what it was late by and why."""
        self.read()
        self.blockers.clear()

    def read(self) -> dict[str, Any] | None:
        """The server's state now: sums over its processes, the worst lag, and the lines that have blocked since."""
        lag, fresh = 0.0, []
        for each in self._new_objects():
            before = self._latest.get(each["pid"], each)
            self._intervals[each["pid"]] = each["time"] - before["time"]
            self._latest[each["pid"]] = each
            lag = max(lag, each["lag"]["max"])
            fresh += each["blockers"]
        for blocker in fresh:
            self._add(blocker)
        if not self._latest:
            return None
        sums = {name: sum(each[name] for each in self._alive()) for name in GAUGES}
        sums |= {name: sum(each[name] for each in self._latest.values()) for name in COUNTERS}
        longest = max(fresh, key=lambda each: each["longest"], default=None)
        return {**sums, "lag": lag, "blocker": f"{place(longest)}" if longest else ""}

    def _alive(self) -> list[dict[str, Any]]:
        newest = max(each["time"] for each in self._latest.values())
        return [
            each
            for pid, each in self._latest.items()
            if newest - each["time"] <= max(ENDED_SECONDS, ENDED_INTERVALS * self._intervals[pid])
        ]

    def _new_objects(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def _add(self, blocker: dict[str, Any]) -> None:
        key = (blocker["file"], blocker["line"], blocker["function"])
        known = self.blockers.setdefault(key, {**blocker, "count": 0, "total": 0.0, "longest": 0.0})
        known["count"] += blocker["count"]
        known["total"] = round(known["total"] + blocker["total"], 4)
        known["longest"] = max(known["longest"], blocker["longest"])

    def top_blockers(self) -> list[dict[str, Any]]:
        """The lines that blocked the hub, with the longest sum first."""
        return sorted(self.blockers.values(), key=lambda each: each["total"], reverse=True)


def place(blocker: dict[str, Any]) -> str:
    """Name a line of source."""
    return f"{blocker['file']}:{blocker['line']} in {blocker['function']}"
