"""Places of gunicorn's workers on the load board: taken in the master before it forks, free when the worker is gone.

gunicorn closes a worker's file of its signs of life when it has reaped the worker; that is how the master learns here
of an end.
"""

from __future__ import annotations

import os
from itertools import count
from typing import Any

from gunicorn.workers.workertmp import WorkerTmp

from ..load_board import LoadBoard, make_board


class Places:
    """The board, and which of its places are taken. Made in the master."""

    def __init__(self) -> None:
        self.board = LoadBoard(make_board())
        self.taken: set[int] = set()

    def take(self) -> int:
        """Take the first free place."""
        place = next(each for each in count() if each not in self.taken)
        self.taken.add(place)
        return place

    def free(self, place: int) -> None:
        """Give a place back."""
        self.taken.discard(place)
        self.board.clear(place)


class PlacedFile(WorkerTmp):  # type: ignore[misc]  # gunicorn has no types
    """The file of a worker's signs of life, and its place, which is free when the master closes the file."""

    def __init__(self, cfg: Any, places: Places) -> None:
        super().__init__(cfg)
        self._places = places
        self._master = os.getpid()
        self._is_open = True
        self.place = places.take()

    def close(self) -> None:
        """Close the file. Forked workers do so with those of their fellows, which means nothing."""
        super().close()
        if self._is_open and os.getpid() == self._master:
            self._is_open = False
            self._places.free(self.place)
