"""Counts the instructions of a request: hublet under callgrind, and two stretches of each trace, one longer than other.

The difference of their counts, divided by that of their lengths, is what a request costs: whatever is done once for a
stretch (the mark at its end, callgrind's own work) is in both and cancels out. The median of some such pairs is taken,
for a sweep of deadlines, once in a second by the clock, falls into one stretch or into another.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from ..bench.errors import RoundFailed
from ..bench.launch import ROOT, Probe, Running, running
from ..bench.servers.server import Server
from .marks import LIBRARY_VARIABLE, START, build_marks
from .traces import TRACES, Trace, connect, http

WARM_UP: Final = 200
SHORT: Final = 100
LONG: Final = 500
PAIRS: Final = 5
# hublet starts about fifteen times as slowly under valgrind, and the machine may be busy.
START_SECONDS: Final = 120.0
VALGRIND: Final = "valgrind"
MISSING: Final = "valgrind is not installed; on Debian and Ubuntu: apt-get install valgrind"
DUMPS: Final = "callgrind"
TRIGGER: Final = re.compile(r"^desc: Trigger: Client Request: (\S+)$", re.MULTILINE)
TOTALS: Final = re.compile(r"^totals: (\d+)$", re.MULTILINE)


def measure(package: Path | None = None) -> dict[str, int]:
    """Count the instructions of a request of each trace, by its name.

    `package` is a folder that holds another hublet than the installed one. Raises RoundFailed and WrongAnswer.
    """
    if shutil.which(VALGRIND) is None:
        raise RoundFailed(MISSING)
    if package is not None:
        require_imported(package)
    with tempfile.TemporaryDirectory(prefix="hublet-instructions-") as name:
        directory = Path(name)
        core = min(os.sched_getaffinity(0))
        with running(counted_server(package), "loadtests.instructions.app:app", directory, core, PROBE) as server:
            for trace in TRACES:
                send_stretches(server, trace)
        counts = read_dumps(directory)
    return {trace.name: per_request(trace.name, counts) for trace in TRACES}


PROBE: Final = Probe("/", b"Hello, World!")


def require_imported(package: Path) -> None:
    """Raise RoundFailed unless the server will import the hublet of that folder: else one is compared with itself."""
    run = subprocess.run(
        [sys.executable, "-c", "import hublet; print(hublet.__file__)"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(package)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not run.stdout.startswith(f"{package}{os.sep}"):
        found = run.stdout.strip() or run.stderr.strip()[-500:]
        raise RoundFailed(f"not the hublet of {package} would be counted, but {found}")


def counted_server(package: Path | None) -> Server:
    """Give the server that is started: hublet as users start it, under callgrind, which does not count yet."""
    settings = ["PYTHONHASHSEED=0", f"{LIBRARY_VARIABLE}={build_marks()}"]
    if package is not None:
        settings.append(f"PYTHONPATH={package}")
    command = (
        "env", *settings, VALGRIND, "--quiet", "--tool=callgrind", "--instr-atstart=no",
        f"--callgrind-out-file=$directory/{DUMPS}", "$python", "-m", "hublet", "$app", "--bind", "$host:$port",
        "--log-level", "warning",
    )  # fmt: skip
    return Server("hublet", command, lambda: "", frozenset(), start_seconds=START_SECONDS)


def send_stretches(server: Running, trace: Trace) -> None:
    """Warm the server up, then send pairs of stretches, each ended by a mark of its own."""
    with connect(server.port) as marks, trace.connect(server.port) as connection:
        send_mark(marks, START)
        trace.send(connection, WARM_UP)
        send_mark(marks, f"{trace.name}-warm")
        for pair in range(PAIRS):
            for kind, length in (("short", SHORT), ("long", LONG)):
                trace.send(connection, length)
                send_mark(marks, f"{trace.name}-{kind}-{pair}")


def send_mark(connection: socket.socket, name: str) -> None:
    """Let the application take a mark."""
    Trace(name, "", http(f"GET /mark/{name}"), b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n").send(connection, 1)


def read_dumps(directory: Path) -> dict[str, int]:
    """Read what callgrind counted up to each mark."""
    counts = {}
    for dump in directory.glob(f"{DUMPS}.*"):
        text = dump.read_text()
        trigger, totals = TRIGGER.search(text), TOTALS.search(text)
        if trigger is not None and totals is not None:
            counts[trigger[1]] = int(totals[1])
    return counts


def per_request(trace: str, counts: dict[str, int]) -> int:
    """Give the instructions of a request: the median over the pairs of stretches. Raises RoundFailed without counts."""
    try:
        found = [
            (counts[f"{trace}-long-{pair}"] - counts[f"{trace}-short-{pair}"]) / (LONG - SHORT) for pair in range(PAIRS)
        ]
    except KeyError as missing:
        raise RoundFailed(f"callgrind wrote nothing for {missing}") from missing
    return round(statistics.median(found))
