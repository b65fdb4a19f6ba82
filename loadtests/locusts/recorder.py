"""Counts what locust's users report: a cumulative histogram of response times, from which any interval can be had.

Locust's own percentiles are of a moving window and rounded to a millisecond. In a distributed run each worker sends
what it has counted since its last report, and the master adds it up, so both kinds of run look the same from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ..runtime.histogram import Histogram

REPORT_KEY: Final = "hublet"


class Unanswered(Exception):
    """The failure of a request that was still waiting for its answer when the test was over."""

    def __init__(self) -> None:
        super().__init__("no answer until the test was over")


@dataclass(slots=True)
class Totals:
    """Sums: response times in seconds, requests, failures, bytes received, and failures that are `Unanswered`."""

    times: Histogram
    requests: int = 0
    failures: int = 0
    received: int = 0
    unanswered: int = 0

    def copy(self) -> Totals:
        """The sums as they are now."""
        return Totals(self.times.copy(), self.requests, self.failures, self.received, self.unanswered)

    def __sub__(self, earlier: Totals) -> Totals:
        """What has come since `earlier`."""
        return Totals(
            self.times - earlier.times,
            self.requests - earlier.requests,
            self.failures - earlier.failures,
            self.received - earlier.received,
            self.unanswered - earlier.unanswered,
        )

    @property
    def error_ratio(self) -> float:
        """Failures for each request."""
        return self.failures / self.requests if self.requests else 0.0


class Recorder:
    """Listens to the events of a locust environment."""

    def __init__(self, events: Any) -> None:
        self._totals = Totals(Histogram())
        self._sent = self._totals.copy()
        events.request.add_listener(self._on_request)
        events.report_to_master.add_listener(self._on_report_to_master)
        events.worker_report.add_listener(self._on_worker_report)

    def totals(self) -> Totals:
        """The sums since the beginning."""
        return self._totals.copy()

    def _on_request(
        self, response_time: float | None = None, response_length: int = 0, exception: Any = None, **_: Any
    ) -> None:
        totals = self._totals
        totals.requests += 1
        totals.received += response_length or 0
        if exception is not None:
            totals.failures += 1
            totals.unanswered += isinstance(exception, Unanswered)
        if response_time is not None:
            totals.times.add(response_time / 1000)

    def _on_report_to_master(self, client_id: str, data: dict[str, Any]) -> None:
        since, self._sent = self._totals - self._sent, self._totals.copy()
        data[REPORT_KEY] = [since.times.counts, since.requests, since.failures, since.received, since.unanswered]

    def _on_worker_report(self, client_id: str, data: dict[str, Any]) -> None:
        counts, requests, failures, received, unanswered = data[REPORT_KEY]
        self._totals.times += Histogram(counts)
        self._totals.requests += requests
        self._totals.failures += failures
        self._totals.received += received
        self._totals.unanswered += unanswered
