"""`--watch -- command...`: runs a command and reports each line of source that blocked its hub, with the remedy."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

import gevent
from gevent.os import nb_read

from ..patches.registry import Registry
from ..runtime.errors import SettingsError
from ..runtime.hub_watch import Block, Blocker, SourceLine
from .advice import known_modules, remedy_for, source_text
from .watched import KNOWN_VARIABLE, MOST_BYTES, VARIABLE

SITECUSTOMIZE: Final = """\
try:
    from hublet.doctor.watched import begin
except ImportError as error:
    import sys
    print("hublet doctor: this Python cannot be watched:", error, file=sys.stderr)
else:
    begin()
"""


class Record:
    """The lines that have blocked a hub, in any process of the command."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._rest = b""
        self._loaded: set[str] = set()
        self.blockers: dict[SourceLine, Blocker] = {}

    def feed(self, data: bytes) -> None:
        """Take what the pipe has brought; say so when a line blocks for the first time."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):
                self._add(json.loads(line))

    def _add(self, message: Mapping[str, Any]) -> None:
        self._loaded.update(message["loaded"])
        stack = tuple(SourceLine(*each) for each in message["stack"])
        block = Block(SourceLine(*message["line"]), 0.0, float(message["seconds"]), stack)
        blocker = self.blockers.get(block.line)
        if blocker is not None:
            blocker.add(block)
            return
        self.blockers[block.line] = Blocker(block.line, 1, block.seconds, block.seconds, stack)
        print(f"hublet doctor: {block.line} blocked for {1000 * block.seconds:.0f} ms", file=sys.stderr, flush=True)

    def report(self) -> list[dict[str, Any]]:
        """The lines, those first that blocked for the longest time in all, each with its remedy."""
        return [
            {
                "file": each.line.file,
                "line": each.line.line,
                "function": each.line.function,
                "source": source_text(each.line),
                "count": each.count,
                "total": each.total,
                "longest": each.longest,
                "remedy": remedy_for(each, self._registry, self._loaded),
            }
            for each in sorted(self.blockers.values(), key=lambda each: each.total, reverse=True)
        ]


def watch_command(command: Sequence[str], registry: Registry, output: int | None = None) -> tuple[int, Record]:
    """Run a command until it ends. Returns its exit status, and what blocked. Raises SettingsError.

    It writes its standard output to the descriptor `output`, or else to ours.
    """
    if not command:
        raise SettingsError("--watch", "", "needs a command: hublet doctor --watch -- hublet module:app", "the command")
    program = shutil.which(command[0])
    if program is None:
        raise SettingsError("--watch", command[0], "there is no such program on PATH", "the command")
    record = Record(registry)
    with tempfile.TemporaryDirectory(prefix="hublet-doctor-") as directory, listening(Path(directory)) as reader:
        collector = gevent.spawn(collect, reader, record)
        environ = os.environ | {
            VARIABLE: f"{directory}/blocks",
            KNOWN_VARIABLE: ",".join(known_modules(registry)),
            "PYTHONPATH": python_path(directory),
        }
        try:
            with subprocess.Popen([program, *command[1:]], env=environ, stdout=output) as process, passed_on(process):
                status = process.wait()
        finally:
            collector.kill()
        with suppress(BlockingIOError):  # what was written last
            while data := os.read(reader, MOST_BYTES):
                record.feed(data)
    return status, record


@contextmanager
def listening(directory: Path) -> Iterator[int]:
    """Make the pipe, and the module that has children write into it; give the end to read."""
    pipe = directory / "blocks"
    os.mkfifo(pipe, 0o600)
    (directory / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    writer = os.open(pipe, os.O_WRONLY | os.O_CLOEXEC)  # otherwise the end of each process is the end of the pipe
    try:
        yield reader
    finally:
        os.close(writer)
        os.close(reader)


def collect(reader: int, record: Record) -> None:
    """Take what comes, in a greenlet of its own."""
    while True:
        record.feed(nb_read(reader, MOST_BYTES))


def python_path(directory: str) -> str:
    """The path of the child: our directory first."""
    return os.pathsep.join(filter(None, (directory, os.environ.get("PYTHONPATH"))))


@contextmanager
def passed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Give signals to the command, and outlive it, to report. A terminal sends SIGINT to both by itself."""

    def handle(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT or not sys.stdin.isatty():
            process.send_signal(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
