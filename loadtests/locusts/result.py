"""Everything that a load test has measured, as report.json has it; times in seconds."""

from __future__ import annotations

from typing import Any

from .bounds import Bound, Bounds, keys_of, labels
from .recorder import Kind, Totals, overall


def summarise(tested: Any) -> dict[str, Any]:
    """Sum up a `Run` that has ended."""
    options, samples, reader = tested.options, tested.samples, tested.statistics
    seconds = samples[-1]["at"] if samples else 0.0
    by_kind = tested.counted
    names = labels(by_kind)
    return {
        "target": options.application or options.host,
        "options": {"users": options.users, "shape": options.shape, "time": options.time, "pause": options.pause},
        "bounds": {"p99": describe_bound(options.bounds.p99), "errors": describe_bound(options.bounds.errors)},
        "began": tested.began,
        "interrupted": tested.interrupts.received,
        "total": overall(by_kind).describe(seconds or 1.0) | {"seconds": seconds},
        "samples": samples,
        "knee": [describe_point(each) for each in tested.knee.points] if tested.knee else None,
        "requests": [
            describe_kind(kind, names[kind], totals, seconds or 1.0, options.bounds)
            for kind, totals in sorted(by_kind.items())
        ],
        "errors": [
            {
                "method": each.method,
                "name": each.name,
                "error": " ".join(str(each.error).split()),
                "count": each.occurrences,
            }
            for each in tested.environment.stats.errors.values()
        ],
        "workers": describe_workers(tested.workers) if tested.workers is not None else None,
        "server": reader.read() if reader is not None else None,
        "blockers": reader.top_blockers() if reader is not None else [],
    }


def describe_bound(bound: Bound) -> dict[str, Any]:
    """A bound: that of everything, and those of some."""
    return {"default": bound.default, "special": bound.special}


def describe_point(point: Any) -> dict[str, Any]:
    """One point of the search for the knee."""
    figures = {"users": point.users, "rate": point.rate, "p99": point.p99, "error_ratio": point.error_ratio}
    return figures | {"broken": list(point.broken)}


def describe_kind(kind: Kind, label: str, totals: Totals, seconds: float, bounds: Bounds) -> dict[str, Any]:
    """The sums of one kind, and its bounds; None where nothing was timed, or there is no bound."""
    figures = totals.describe(seconds)
    timed = figures["timed"]
    return {
        **kind._asdict(),
        "label": label,
        **figures,
        "mean": round(totals.seconds / timed, 5) if timed else None,
        "longest": round(totals.longest, 5) if timed else None,
        "mean_length": round(totals.received / totals.requests, 1),
        "max_p99": bounds.p99.among(keys_of(kind)) if kind.has_latency else None,
        "max_errors": bounds.errors.among(keys_of(kind)),
        "held": not bounds.excesses(kind, figures),
    }


def describe_workers(workers: Any) -> dict[str, Any]:
    """How many workers there were, and which were lost."""
    lost = [{"worker": each, "heard": at} for each, at in workers.lost.items()]
    return {"known": len(workers.known), "lost": lost}
