"""Takes the signals that ask to end, so that the server, the workers and the report are seen to before the exit.

A handler that raises would do so in any greenlet, a user's or locust's own, which may be anywhere. So it only notes
the signal, and whoever waits looks at the note.
"""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Any, Final, Self

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL: Final = 0.1
#: The exit status, whichever signal it was: as shells report a process that SIGINT ended.
INTERRUPTED: Final = 130


class Interrupted(Exception):
    """A signal has asked to end."""


class Interrupts:
    """A context manager; `received` is true from the first signal on. Further ones change nothing."""

    def __init__(self) -> None:
        self.received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for each in SIGNALS:
            if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN:  # as nohup leaves it
                self._before[each] = signal.signal(each, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True

    def check(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self.received:
            raise Interrupted

    def pause(self, seconds: float) -> None:
        """Sleep, but not longer than until a signal comes."""
        deadline = time.monotonic() + seconds
        while not self.received and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, POLL))
