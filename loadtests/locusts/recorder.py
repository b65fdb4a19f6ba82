"""Counts what locust's users report, by kind: cumulative histograms of times, from which any interval can be had.

Locust's own percentiles are of a moving window and rounded to a millisecond. In a distributed run each worker sends
what it has counted since its last report, and the master adds it up, so both kinds of run look the same from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ..runtime.histogram import BUCKETS, Histogram

REPORT_KEY: Final = "hublet"
#: In the context of a request: the name of the class of the user who made it.
USER_KEY: Final = "hublet_user"
#: The method of what is a time between two messages, and no response time.
INTERVAL: Final = "INTERVAL"
# A locustfile that gives its requests no names has one for each address. Each costs 13 KB, and as much for a sample.
MOST_KINDS: Final = 100
OTHERS: Final = "(others)"


class Unanswered(Exception):
    """The failure of a request that was still waiting for its answer when the test was over."""

    def __init__(self) -> None:
        super().__init__("no answer until the test was over")


class Kind(NamedTuple):
    """What is counted and judged by itself: the class of the user, and the method and name that locust has."""

    user: str
    method: str
    name: str

    @property
    def has_latency(self) -> bool:
        """Whether its times are response times."""
        return self.method != INTERVAL


@dataclass(slots=True)
class Totals:
    """Sums: times and their sum in seconds, requests, failures, bytes received, and failures that are `Unanswered`."""

    times: Histogram = field(default_factory=Histogram)
    seconds: float = 0.0
    requests: int = 0
    failures: int = 0
    received: int = 0
    unanswered: int = 0
    longest: float = 0.0  # of all times until now, also in a difference

    def copy(self) -> Totals:
        """The sums as they are now."""
        return Totals() + self

    def __add__(self, other: Totals) -> Totals:
        times = self.times.copy()
        times += other.times
        return Totals(
            times,
            self.seconds + other.seconds,
            self.requests + other.requests,
            self.failures + other.failures,
            self.received + other.received,
            self.unanswered + other.unanswered,
            max(self.longest, other.longest),
        )

    def __sub__(self, earlier: Totals) -> Totals:
        """What has come since `earlier`."""
        return Totals(
            self.times - earlier.times,
            self.seconds - earlier.seconds,
            self.requests - earlier.requests,
            self.failures - earlier.failures,
            self.received - earlier.received,
            self.unanswered - earlier.unanswered,
            self.longest,
        )

    @property
    def error_ratio(self) -> float:
        """Failures for each request."""
        return self.failures / self.requests if self.requests else 0.0

    def describe(self, seconds: float) -> dict[str, Any]:
        """The figures of so many seconds; times in seconds, None where nothing was timed."""
        timed = self.times.total
        return {
            "rate": round(self.requests / seconds, 2),
            "requests": self.requests,
            "failures": self.failures,
            "unanswered": self.unanswered,
            "received": self.received,
            "timed": timed,
            **{f"p{part}": round(self.times.percentile(part / 100), 5) if timed else None for part in (50, 95, 99)},
        }


ByKind = Mapping[Kind, Totals]


def since(now: ByKind, before: ByKind) -> dict[Kind, Totals]:
    """What has come between two looks, of the kinds of which anything has."""
    changes = {kind: totals - before[kind] if kind in before else totals for kind, totals in now.items()}
    return {kind: change for kind, change in changes.items() if change.requests}


def overall(by_kind: ByKind) -> Totals:
    """The sum of all kinds. Its times are response times only."""
    total = Totals()
    for kind, totals in by_kind.items():
        times = totals.times if kind.has_latency else Histogram()
        total += Totals(
            times, totals.seconds, totals.requests, totals.failures, totals.received, totals.unanswered, totals.longest
        )
    return total


class Recorder:
    """Listens to the events of a locust environment."""

    def __init__(self, events: Any) -> None:
        self._totals: dict[Kind, Totals] = {}
        self._sent: dict[Kind, Totals] = {}
        events.request.add_listener(self._on_request)
        events.report_to_master.add_listener(self._on_report_to_master)
        events.worker_report.add_listener(self._on_worker_report)

    def by_kind(self) -> dict[Kind, Totals]:
        """The sums since the beginning. Of more than MOST_KINDS names, the further ones count as `(others)`."""
        return {kind: totals.copy() for kind, totals in self._totals.items()}

    def _totals_of(self, kind: Kind) -> Totals:
        totals = self._totals.get(kind)
        if totals is None:
            if len(self._totals) >= MOST_KINDS:
                kind = Kind(kind.user, "", OTHERS)
            totals = self._totals.setdefault(kind, Totals())
        return totals

    def _on_request(
        self,
        request_type: str = "",
        name: str = "",
        response_time: float | None = None,
        response_length: int = 0,
        exception: Any = None,
        context: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        totals = self._totals_of(Kind((context or {}).get(USER_KEY, ""), request_type, name))
        totals.requests += 1
        totals.received += response_length or 0
        if exception is not None:
            totals.failures += 1
            totals.unanswered += isinstance(exception, Unanswered)
        if response_time is not None:
            seconds = response_time / 1000
            totals.times.add(seconds)
            totals.seconds += seconds
            totals.longest = max(totals.longest, seconds)

    def _on_report_to_master(self, client_id: str, data: dict[str, Any]) -> None:
        now = self.by_kind()
        data[REPORT_KEY] = [[*kind, *pack(change)] for kind, change in since(now, self._sent).items()]
        self._sent = now

    def _on_worker_report(self, client_id: str, data: dict[str, Any]) -> None:
        for user, method, name, *packed in data[REPORT_KEY]:
            totals = self._totals_of(Kind(user, method, name))
            change = totals + unpack(packed)
            for each in Totals.__slots__:
                setattr(totals, each, getattr(change, each))


def pack(totals: Totals) -> list[Any]:
    """Totals as a message: the histogram without its empty buckets, then the sums."""
    counts = {index: count for index, count in enumerate(totals.times.counts) if count}
    return [BUCKETS, list(counts), list(counts.values()), *(getattr(totals, each) for each in Totals.__slots__[1:])]


def unpack(packed: list[Any]) -> Totals:
    """Read what `pack` wrote. Raises ValueError for that of another version."""
    buckets, indices, values, *sums = packed
    counts = [0] * buckets
    for index, count in zip(indices, values, strict=True):
        counts[index] = count
    return Totals(Histogram(counts), *sums)
