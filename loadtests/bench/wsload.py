"""Runs wsload, the WebSocket load generator of this repository, and takes its figures only where nothing failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..wsload.build import BuildError, build_wsload
from .errors import RoundFailed
from .launch import HOST
from .load import Answer, Client, program

# What must be zero in the last line of a run that counts.
FAILURES: Final = ("failed", "closed_by_server", "bad")


def wsload_obstacle() -> str | None:
    """Compile wsload, and say what to install where that cannot be done."""
    try:
        build_wsload()
    except BuildError as error:
        return str(error)
    return None


@contextmanager
def wsload(port: int, path: str, *options: str) -> Iterator[Client]:
    """Run wsload for the `with` block, in which its lines are read."""
    with program("wsload", str(build_wsload()), "-H", HOST, "-p", str(port), "-P", path, *options) as load:
        yield load


def run_wsload(port: int, path: str, *options: str) -> Answer:
    """Run wsload to its end, and return its figures. Raises RoundFailed if anything failed in it."""
    with wsload(port, path, *options) as load:
        return checked(load, load.read_answer())


def checked(load: Client, answer: Answer) -> Answer:
    """Give the last line of wsload back if it counts. Raises RoundFailed, with wsload's words, if it does not."""
    words = load.end()
    failures = ", ".join(f"{name} {answer[name]:,}" for name in FAILURES if answer[name])
    if words or failures:
        raise RoundFailed(" - ".join(part for part in (failures, words) if part))
    return answer
