"""The plans of `plans`, and the search for the knee, as shapes of locust."""

from __future__ import annotations

from typing import Final

from locust import LoadTestShape

from .plans import Knee, Point, users_at
from .recorder import Recorder

# The first part of a stage belongs to the users that have just come.
SETTLING: Final = 0.3
# Fewer responses than this say nothing about 99 of 100: then the stage goes on, up to so many times its length.
ENOUGH: Final = 20
MOST_STAGES: Final = 4


class PlannedShape(LoadTestShape):  # type: ignore[misc]
    """A shape that is known beforehand."""

    def __init__(self, shape: str, users: int, time: float) -> None:
        super().__init__()
        self.shape, self.users, self.time = shape, users, time

    def tick(self) -> tuple[int, float] | None:
        """How many users there are to be now; locust asks once in a second."""
        users = users_at(self.shape, self.get_run_time(), self.users, self.time)
        return None if users is None else (users, max(self.users, 1))


class KneeShape(LoadTestShape):  # type: ignore[misc]
    """Raises the load in stages of `stage` seconds as `knee` decides, and ends when it knows, or after `time`."""

    def __init__(self, knee: Knee, recorder: Recorder, stage: float, time: float) -> None:
        super().__init__()
        self.knee, self.recorder, self.stage, self.time = knee, recorder, stage, time
        self.users = knee.first_users
        self.finished = False
        self._begin()

    def _begin(self) -> None:
        self._began = self.get_run_time()
        self._settled: float | None = None
        self._before = self.recorder.totals()

    def tick(self) -> tuple[int, float] | None:
        """How many users there are to be now; locust asks once in a second."""
        now = self.get_run_time()
        if now >= self.time:
            return None
        if self._settled is None:
            if now - self._began >= self.stage * SETTLING:
                self._settled, self._before = now, self.recorder.totals()
        elif now - self._began >= self.stage:
            since = self.recorder.totals() - self._before
            seconds = now - self._settled
            if since.requests >= ENOUGH or now - self._began >= self.stage * MOST_STAGES:
                point = Point(self.users, since.requests / seconds, since.times.percentile(0.99), since.error_ratio)
                users = self.knee.next_users(point)
                if users is None:
                    self.finished = True
                    return None
                self.users = users
                self._begin()
        return self.users, float(max(self.users, 100))

    def reset_time(self) -> None:
        """The test begins now."""
        super().reset_time()
        self._begin()
