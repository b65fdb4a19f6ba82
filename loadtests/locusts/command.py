"""`hublet loadtest`: starts the application, puts load on it, prints a verdict and writes the report."""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any, Final

from ..runtime.errors import HubletError
from .options import USAGE_ERROR, parse_options
from .report import write_report
from .server import TestedServer
from .verdict import Verdict, explain, judge, judge_knee
from .visits import LISTENING

NEEDED: Final = {"locust": "locust", "websocket": "websocket-client", "socketio": "python-socketio"}
REMEDY: Final = "pip install 'hublet[loadtest]'"
HELD, DID_NOT_HOLD = 0, 1


def main(arguments: Sequence[str], early_imports: Sequence[str] = ()) -> int:
    """Run the command. Returns the exit status."""
    options = parse_options(arguments)
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(f"hublet loadtest: needs {', '.join(missing)}: {REMEDY}", file=sys.stderr)
        return USAGE_ERROR
    for warning in early_imports:
        print(f"hublet loadtest: {warning}", file=sys.stderr)
    # Here, since locust is an extra: only now is it known to be there.
    run: Any = import_module(".run", __package__)
    try:
        if options.worker:
            status: int = run.work(options)
            return status
        return test(options, run)
    except (ValueError, FileNotFoundError) as error:
        print(f"hublet loadtest: {error}", file=sys.stderr)
        return USAGE_ERROR
    except HubletError as error:
        print(f"hublet loadtest: {error}", file=sys.stderr)
        return DID_NOT_HOLD


def test(options: argparse.Namespace, run: Any) -> int:
    """Test an application or a server, and report. Returns the exit status."""
    options.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server: TestedServer | None = None
        host, statistics = options.host, options.statistics
        if options.application:
            interval = run.SAMPLE_INTERVAL / 2
            server = TestedServer(options.application, options.server_options, options.out, interval)
            stack.enter_context(server)
            host, statistics = server.url, server.statistics_file
        if options.web:
            status: int = run.serve_page(options, host)
            return status
        tested = run.Run(options, host, statistics)
        tested.execute(server)
    result = summarise(tested, run)
    verdict = decide(options, tested, result)
    result["verdict"] = {"held": verdict.held, "text": str(verdict)}
    paths = write_report(result, options.out)
    print(f"{verdict}\nreport: {paths[0]}")
    return HELD if verdict.held else DID_NOT_HOLD


def decide(options: argparse.Namespace, tested: Any, result: dict[str, Any]) -> Verdict:
    """The verdict, with its reasons."""
    if tested.knee is not None:
        verdict = judge_knee(tested.knee, tested.environment.shape_class.finished)
    else:
        within = [each for each in tested.samples if each["at"] <= options.time]
        verdict = judge(result["total"], within, options.max_p99, options.max_errors, max_silence(options))
    if tested.server_failed is not None:
        verdict.held, verdict.line = False, f"did not hold: {tested.server_failed}"
    if tested.interrupted:
        verdict.notes.append("interrupted before its end")
    explain(verdict, tested.samples, result["blockers"])
    return verdict


def max_silence(options: argparse.Namespace) -> float:
    """For how long there may be no response at all: users ask again after a pause, but those who only listen do not."""
    if options.locustfile or all(visit.kind in LISTENING for visit in options.visit):
        return math.inf
    bound: float = options.max_p99 + options.pause
    return bound


def summarise(tested: Any, run: Any) -> dict[str, Any]:
    """Everything that was measured, as report.json has it; times in seconds."""
    options = tested.options
    samples = tested.samples
    reader = tested.statistics
    last = reader.read() if reader is not None else None
    seconds = samples[-1]["at"] if samples else 1.0
    stats = tested.environment.stats
    return {
        "target": options.application or options.host,
        "options": {"users": options.users, "shape": options.shape, "time": options.time, "pause": options.pause},
        "bounds": {"p99": options.max_p99, "errors": options.max_errors},
        "began": tested.began,
        "total": run.describe(tested.recorder.totals(), seconds) | {"seconds": seconds},
        "samples": samples,
        "knee": [describe_point(each) for each in tested.knee.points] if tested.knee else None,
        "requests": [describe_entry(each) for each in stats.entries.values()],
        "errors": [
            {"method": each.method, "name": each.name, "error": str(each.error), "count": each.occurrences}
            for each in stats.errors.values()
        ],
        "server": last,
        "blockers": reader.top_blockers() if reader is not None else [],
    }


def describe_point(point: Any) -> dict[str, float]:
    """One point of the search for the knee."""
    return {"users": point.users, "rate": point.rate, "p99": point.p99, "error_ratio": point.error_ratio}


def describe_entry(entry: Any) -> dict[str, Any]:
    """What locust has counted for one name."""
    return {
        "method": entry.method,
        "name": entry.name,
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "mean": round(entry.avg_response_time / 1000, 5),
        "p99": round((entry.get_response_time_percentile(0.99) or 0) / 1000, 5),
        "longest": round(entry.max_response_time / 1000, 5),
        "mean_length": round(entry.avg_content_length, 1),
    }
