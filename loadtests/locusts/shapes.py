"""The plans of `plans`, and the search for the knee, as shapes of locust."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from locust import LoadTestShape

from .bounds import Bounds, labels
from .plans import Knee, Point, users_at
from .recorder import Kind, Recorder, Totals, overall, since

# The first part of a stage belongs to the users that have just come.
SETTLING: Final = 0.3
# Fewer responses than this say nothing about 99 of 100: then the stage goes on, up to so many times its length.
ENOUGH: Final = 20
MOST_STAGES: Final = 4


def users_by_class(runner: Any) -> dict[str, int]:
    """How many users there are now, by the name of their class; in a distributed test as workers have said."""
    counts = getattr(runner, "reported_user_classes_count", None)
    return dict(runner.user_classes_count if counts is None else counts)


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
    """Raises the load in stages of `stage` seconds as `knee` decides, and ends when it knows, or after `time`.

    `asking` has the classes of users who ask all the time: one of them that gets no response at all has not held.
    """

    def __init__(
        self, knee: Knee, recorder: Recorder, bounds: Bounds, asking: frozenset[str], stage: float, time: float
    ) -> None:
        super().__init__()
        self.knee, self.recorder, self.bounds, self.asking = knee, recorder, bounds, asking
        self.stage, self.time = stage, time
        self.users = knee.first_users
        self.finished = False
        self._begin()

    def _begin(self) -> None:
        self._began = self.get_run_time()
        self._settled: float | None = None
        self._before = self.recorder.by_kind()

    def tick(self) -> tuple[int, float] | None:
        """How many users there are to be now; locust asks once in a second."""
        now = self.get_run_time()
        if now >= self.time:
            return None
        if self._settled is None:
            if now - self._began >= self.stage * SETTLING:
                self._settled, self._before = now, self.recorder.by_kind()
        elif now - self._began >= self.stage:
            got = since(self.recorder.by_kind(), self._before)
            if now - self._began >= self.stage * MOST_STAGES or self._is_enough(got):
                users = self.knee.next_users(self._point(got, now - self._settled))
                if users is None:
                    self.finished = True
                    return None
                self.users = users
                self._begin()
        return self.users, float(max(self.users, 100))

    def _waiting(self) -> set[str]:
        """The classes of users who ought to have responses."""
        return {name for name, count in users_by_class(self.runner).items() if count and name in self.asking}

    def _is_enough(self, got: Mapping[Kind, Totals]) -> bool:
        counts = dict.fromkeys(self._waiting(), 0)
        for kind, totals in got.items():
            counts[kind.user] = counts.get(kind.user, 0) + totals.requests
        return bool(counts) and min(counts.values()) >= ENOUGH

    def _point(self, got: Mapping[Kind, Totals], seconds: float) -> Point:
        total, names = overall(got), labels(got)
        broken = [
            f"{names[kind]}: {excess}"
            for kind, totals in got.items()
            for excess in self.bounds.excesses(kind, totals.describe(seconds))
        ]
        silent = self._waiting() - {kind.user for kind in got}
        broken += [f"{name}: no response at all" for name in sorted(silent)]
        return Point(
            self.users, total.requests / seconds, total.times.percentile(0.99), total.error_ratio, tuple(broken)
        )

    def reset_time(self) -> None:
        """The test begins now."""
        super().reset_time()
        self._begin()
