"""Counts what locust's users report: a cumulative histogram of response times, from which any interval can be had.

Locust's own percentiles are of a moving window and rounded to a millisecond. In a distributed run each worker sends
what it has counted since its last report, and the master adds it up, so both kinds of run look the same from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ..runtime.histogram import Histogram

REPORT_KEY: Final = "hublet"


@dataclass(slots=True)
class Totals:
    """Sums: response times in seconds, requests, failures, and bytes received."""

    times: Histogram
    requests: int = 0
    failures: int = 0
    received: int = 0

    def copy(self) -> Totals:
        """The sums as they are now."""
        return Totals(self.times.copy(), self.requests, self.failures, self.received)

    def __sub__(self, earlier: Totals) -> Totals:
        """What has come since `earlier`."""
        return Totals(
            self.times - earlier.times,
            self.requests - earlier.requests,
            self.failures - earlier.failures,
            self.received - earlier.received,
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
        totals.times.add((response_time or 0) / 1000)

    def _on_report_to_master(self, client_id: str, data: dict[str, Any]) -> None:
        since, self._sent = self._totals - self._sent, self._totals.copy()
        data[REPORT_KEY] = [since.times.counts, since.requests, since.failures, since.received]

    def _on_worker_report(self, client_id: str, data: dict[str, Any]) -> None:
        counts, requests, failures, received = data[REPORT_KEY]
        self._totals.times += Histogram(counts)
        self._totals.requests += requests
        self._totals.failures += failures
        self._totals.received += received
