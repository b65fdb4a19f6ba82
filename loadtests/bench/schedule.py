"""Shares a bounded time out to the cases, and estimates how much of it is left.

A case's share is what its rounds are thought to take, scaled so that all fit. A round that would begin beyond the share
is left out, but for the first, so that every case has figures; what a case does not use goes to those after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from .cases.case import Case, Options

# To start a server and to end it.
ROUND_SECONDS: Final = 1.2
FULL_CONNECTIONS: Final = 10_000


class Schedule:
    """The plan for a run: cases with the number of their servers, within `budget` seconds if there is one."""

    def __init__(
        self, cases: Sequence[tuple[Case, int]], options: Options, budget: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.options = options
        self.clock = clock
        self.one_round = {case.name: servers * self.seconds_of(case) for case, servers in cases}
        self.planned = {case.name: self.one_round[case.name] * self.rounds(case) for case, _ in cases}
        self.started = clock()
        self.end = None if budget is None else self.started + budget
        self.begun: str | None = None
        self.case_started = self.round_started = self.started
        self.share = 0.0

    def seconds_of(self, case: Case) -> float:
        """Estimate one round of one server."""
        extra = case.seconds * min(1.0, self.options.connections / FULL_CONNECTIONS)
        return max(0.5, ROUND_SECONDS + self.options.warm_up + self.options.seconds + extra)

    def rounds(self, case: Case) -> int:
        """How many rounds a case has if there is time for all."""
        return min(self.options.rounds, case.enough)

    def begin_case(self, case: Case) -> None:
        """Note that a case begins, and give it its share of the time that is left."""
        if self.begun is not None:
            self.planned.pop(self.begun, None)
        self.begun = case.name
        self.case_started = self.clock()
        waiting = sum(self.planned.values())
        if self.end is not None and waiting:
            self.share = max(0.0, self.end - self.case_started) * self.planned[case.name] / waiting

    def has_time_for_round(self, number: int) -> bool:
        """Tell whether round `number` may begin: if one more as long as those before ends within the share."""
        if self.end is None or number == 1:
            return True
        used = self.clock() - self.case_started
        return used + used / (number - 1) <= self.share

    def remaining_seconds(self) -> float:
        """Estimate the time that is left, within the budget."""
        planned = sum(self.planned.values())
        if self.begun is not None:
            planned -= min(self.clock() - self.case_started, self.planned.get(self.begun, 0.0))
        return planned if self.end is None else min(planned, max(0.0, self.end - self.clock()))

    def left(self) -> str:
        """Write the estimate."""
        return f" [about {self.remaining_seconds() / 60:.1f} min left]"
