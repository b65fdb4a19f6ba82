"""The supervisor and its workers, as an operator sees them: processes, signals, and the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..bench.errors import RoundFailed
from ..bench.launch import ROOT, get, session_members
from ..private.process import free_port

PATIENCE: Final = 60.0
POLL_SECONDS: Final = 0.02
STOP_SECONDS: Final = 15.0
WORKERS: Final = 2


class Cluster:
    """`hublet --workers 2` with the campaign's application; `directory` holds the deploy and the log."""

    def __init__(self, directory: Path, grace: float) -> None:
        self.directory = directory
        self.port = free_port()
        self.log = directory / "hublet.log"
        self._seen = 0
        self.deploy("1")
        command = [sys.executable, "-m", "hublet", "loadtests.chaos.application:app", "--workers", str(WORKERS)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--bind", f"127.0.0.1:{self.port}", "--grace", str(grace)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "CHAOS_DIRECTORY": str(directory)},
            )  # fmt: skip

    def deploy(self, version: str, import_seconds: float = 0, broken: bool = False) -> None:
        """Put another version of the application where the next workers find it."""
        (self.directory / "version").write_text(version)
        (self.directory / "import_seconds").write_text(str(import_seconds))
        (self.directory / "broken").unlink(missing_ok=True)
        if broken:
            (self.directory / "broken").touch()

    @property
    def supervisor(self) -> int:
        """The supervisor's process id."""
        return self.process.pid

    def workers(self) -> set[int]:
        """The process ids of the workers."""
        return set(session_members(self.supervisor)) - {self.supervisor}

    def signal(self, number: int) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(number)

    def until_logged(self, text: str) -> None:
        """Wait for a text in what the log has got since this was last called."""

        def is_logged() -> bool:
            logged = self.log.read_text()
            found = logged.find(text, self._seen)
            if found >= 0:
                self._seen = found + len(text)
            return found >= 0

        self.until(is_logged, f"{text!r} in the log")

    def until_settled(self, without: Collection[int] = ()) -> None:
        """Wait until there are as many workers as there are to be, none of some others, and each of them answers."""
        answered: set[int] = set()

        def is_settled() -> bool:
            workers = self.workers()
            if len(workers) != WORKERS or not workers.isdisjoint(without):
                return False
            if not workers <= answered:
                answered.add(int(get(self.port, "/")[1].split()[1]))
            return workers <= answered

        self.until(is_settled, f"{WORKERS} workers that serve")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition. Raises RoundFailed."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                end = " | ".join(self.log.read_text().splitlines()[-5:])
                raise RoundFailed(f"waited {PATIENCE:g} s for {what} in vain; the log ends: {end}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End all of it."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.workers():  # of a supervisor that was killed: the session is theirs still
            os.kill(pid, signal.SIGKILL)


@contextmanager
def cluster(directory: Path, grace: float) -> Iterator[Cluster]:
    """Run it for the `with` block, which begins when it serves."""
    directory.mkdir()
    made = Cluster(directory, grace)
    try:
        made.until_logged("generation 1 serves")
        yield made
    finally:
        made.stop()
