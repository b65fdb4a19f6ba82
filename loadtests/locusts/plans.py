"""How many users there are at what time: ramp, step, spike, soak, steady; and knee, which looks for the limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

STEPS: Final = 5
SPIKE_BASE: Final = 0.1
# The first stage of the search for the knee has this part of the most users that there may be.
KNEE_BEGINS_AT: Final = 16
# The knee is found when the last good and the first bad number of users are so near to each other.
KNEE_PRECISION: Final = 0.1
# A test has so many samples at the most: longer than an hour, their seconds are several.
MOST_SAMPLES: Final = 3600
SAMPLE_INTERVAL: Final = 1.0
# The part of all users at a part of the time.
PARTS: Final[dict[str, Callable[[float], float]]] = {
    "steady": lambda at: 1.0,
    "ramp": lambda at: min(at / 0.8, 1.0),
    "step": lambda at: (math.floor(at * STEPS) + 1) / STEPS,
    "spike": lambda at: 1.0 if 0.4 <= at < 0.6 else SPIKE_BASE,
    "soak": lambda at: min(at / 0.05, 1.0),
}
SHAPES: Final = (*PARTS, "knee")


def sample_interval(time: float) -> float:
    """The seconds between two samples of a test that lasts for `time` seconds."""
    return max(SAMPLE_INTERVAL, time / MOST_SAMPLES)


def users_at(shape: str, seconds: float, users: int, time: float) -> int | None:
    """The number of users of a shape of `users` at the most, `seconds` after its beginning; None after its end."""
    if seconds >= time:
        return None
    return max(math.ceil(PARTS[shape](seconds / time) * users), 1)


def least_users(weights: Iterable[int]) -> int:
    """How many users it takes for classes of these weights to have one each."""
    known = [each for each in weights if each > 0]
    return math.ceil(sum(known) / min(known)) if known else 1


@dataclass(frozen=True, slots=True)
class Point:
    """What so many users got: responses in a second, the 99th percentile in seconds, failures for each request.

    `broken` has the bounds that were crossed, in words.
    """

    users: int
    rate: float
    p99: float
    error_ratio: float
    broken: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether every bound was kept, and there were responses at all."""
        return not self.broken and self.rate > 0


class Knee:
    """Decides how many users come next: twice as many until a point is bad, then half-way between good and bad.

    There are not fewer than `least_users`, as many as it takes to have one of each class.
    """

    def __init__(self, most_users: int, least_users: int = 1) -> None:
        self.most_users = most_users
        self.least_users = min(least_users, most_users)
        self.first_users = max(most_users // KNEE_BEGINS_AT, self.least_users)
        self.points: list[Point] = []
        self.good: Point | None = None
        self.bad: Point | None = None

    def next_users(self, point: Point) -> int | None:
        """Take a point; returns the next number of users, or None when the knee is known."""
        self.points.append(point)
        if point.is_good:
            self.good = point
        else:
            self.bad = point
        low = self.least_users - 1 if self.good is None else self.good.users
        if self.bad is None:
            return None if low >= self.most_users else min(low * 2, self.most_users)
        if self.bad.users - low <= max(low * KNEE_PRECISION, 1):
            return None
        return (low + self.bad.users) // 2
