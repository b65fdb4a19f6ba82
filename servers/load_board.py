"""How many connections each worker has, in memory that all of them share, so that they can take turns at accepting.

Workers accept from the same sockets. The kernel wakes all of them and the first one gets the connection, which would be
the same one again and again. So a worker that has more connections than another leaves new ones to that one, and takes
them all the same when they are still there after a moment: the other one may be busy.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Final

PLACES: Final = 1024
NOBODY: Final = -1
SIZE: Final = 4  # bytes of a C int
# A worker may be ahead of the least loaded one by one connection, and by this part of what that one has.
TOLERANCE: Final = 8


def make_board() -> int:
    """Make the shared memory; returns its descriptor, which workers inherit."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("hublet-load")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, PLACES * SIZE)
    board = LoadBoard(descriptor)
    for place in range(PLACES):
        board.clear(place)
    return descriptor


class LoadBoard:
    """The counts of all workers, by their places, in the shared memory that a descriptor stands for.

    A worker whose place is beyond the last one, PLACES - 1, is not counted and accepts whatever comes.
    """

    def __init__(self, descriptor: int) -> None:
        self._counts = memoryview(mmap.mmap(descriptor, PLACES * SIZE)).cast("i")

    def post(self, place: int, connections: int) -> None:
        """Say how many connections the worker at a place has."""
        if place < PLACES:
            self._counts[place] = connections

    def clear(self, place: int) -> None:
        """Say that there is no worker at a place, or that it accepts no more."""
        self.post(place, NOBODY)

    def share(self, place: int) -> int | None:
        """How many connections the worker at a place may accept now; 0 if it is somebody else's turn; None if alone."""
        if place >= PLACES:
            return None
        counts = self._counts
        least = min((count for each, count in enumerate(counts) if count != NOBODY and each != place), default=None)
        if least is None:
            return None
        return max(least + 1 + least // TOLERANCE - counts[place], 0)
