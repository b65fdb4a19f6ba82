"""SIGINT and SIGTERM: they end the comparison by an exception, so that every `with` on the way ends what it started."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM)


def end_on_signals() -> None:
    """Make the first of these signals raise SystemExit with the status that shells know: 128 and its number."""
    for ending in ENDING:
        signal.signal(ending, end)


def end(number: int, frame: FrameType | None) -> None:
    """Handle a signal: raise SystemExit."""
    for ending in ENDING:
        signal.signal(ending, signal.SIG_IGN)  # a second one would cut short what the first has set going
    raise SystemExit(128 + number)


@contextmanager
def signals_held() -> Iterator[None]:
    """Deliver these signals only after the `with` block, for starting a process and noting how it is to be ended.

    Their handlers raise; within Popen that would leave a process that runs and that nobody knows of. Blocking the
    signals would not do, since the process would inherit that.
    """
    held: list[int] = []
    handlers = {ending: signal.signal(ending, lambda number, _: held.append(number)) for ending in ENDING}
    try:
        yield
    finally:
        for ending, handler in handlers.items():
            signal.signal(ending, handler)
        for number in held[:1]:
            signal.raise_signal(number)
