"""What clients have met in a span of time: counted by them, sent as a line of JSON, and read by the campaign."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ..bench.stats import percentile

MOST_FAILURES: Final = 1000  # that are told one by one
UNKNOWN: Final = 0  # the worker of a connection that has not been answered on


class Failure(NamedTuple):
    """One failure: of which kind of client, what it met, and when, on the clock of `time.monotonic`."""

    client: str
    kind: str
    worker: int
    sent: float
    at: float

    def __str__(self) -> str:
        return f"{self.client}, worker {self.worker or 'unknown'}: {self.kind} after {self.at - self.sent:.3f} s"


@dataclass(slots=True)
class Tally:
    """What has happened. `failed` counts all failures, `failures` has the first ones; latencies are seconds."""

    served: int = 0
    echoes: int = 0
    reconnects: int = 0
    idle_ends: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)

    def fail(self, client: str, kind: str, worker: int, sent: float) -> None:
        """Count a failure that is met now."""
        self.failed += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(Failure(client, kind, worker, sent, time.monotonic()))

    def milliseconds(self, percent: float) -> float:
        """A percentile of the latencies, 0 without any."""
        return percentile(self.latencies, percent) * 1000 if self.latencies else 0.0

    def versions(self) -> set[str]:
        """The versions of the application that have answered."""
        return {answer.split()[0] for answer in self.answers}

    def to_line(self) -> str:
        """Write it as JSON in one line."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_line(cls, line: str) -> Tally:
        """Read what `to_line` has written."""
        fields = json.loads(line)
        return cls(**{**fields, "failures": [Failure(*each) for each in fields["failures"]]})
