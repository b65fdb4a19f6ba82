"""`hublet loadtest`: starts the application, puts load on it, prints a verdict and writes the report."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any, Final

from ..runtime.errors import HubletError
from .interrupts import INTERRUPTED, Interrupted, Interrupts
from .options import USAGE_ERROR, parse_options
from .plans import SAMPLE_INTERVAL
from .recorder import Kind
from .report import write_report
from .result import summarise
from .server import TestedServer
from .tls import check_files, check_server
from .verdict import Verdict, explain, fail_unanswered, judge, judge_knee
from .visits import LISTENING, OPENING

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
    with Interrupts() as interrupts:
        status = run_command(options, interrupts)
        return INTERRUPTED if interrupts.received else status


def run_command(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Do what the options ask for. Returns the exit status, were it not for signals."""
    # Here, since locust is an extra: only now is it known to be there.
    run: Any = import_module(".run", __package__)
    try:
        interrupts.check()
        check_files(options.tls)
        if options.host:
            check_server(options.host, options.tls)
        if options.worker:
            status: int = run.work(options, interrupts)
            return status
        return test(options, run, interrupts)
    except (ValueError, FileNotFoundError) as error:
        print(f"hublet loadtest: {error}", file=sys.stderr)
        return USAGE_ERROR
    except HubletError as error:
        print(f"hublet loadtest: {error}", file=sys.stderr)
        return DID_NOT_HOLD
    except Interrupted:
        print("hublet loadtest: interrupted before there was any load", file=sys.stderr)
        return INTERRUPTED


def test(options: argparse.Namespace, run: Any, interrupts: Interrupts) -> int:
    """Test an application or a server, and report. Returns the exit status."""
    options.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server: TestedServer | None = None
        host, statistics = options.host, options.statistics
        if options.application:
            interval = SAMPLE_INTERVAL / 2
            server = TestedServer(options.application, options.server_options, options.out, interval, interrupts)
            stack.enter_context(server)
            host, statistics = server.url, server.statistics_file
            if not options.tls.cacert:
                # Nobody else can have this port: there is nothing that the certificate could tell.
                options.tls = dataclasses.replace(options.tls, insecure=True)
        if options.web:
            run.serve_page(options, host, interrupts)
            return HELD
        tested = run.Run(options, host, statistics, interrupts)
        tested.execute(server)
    result = summarise(tested)
    verdict = decide(options, tested, result)
    result["verdict"] = {"held": verdict.held, "text": str(verdict)}
    paths = write_report(result, options.out)
    print(f"{verdict}\nreport: {paths[0]}")
    return HELD if verdict.held else DID_NOT_HOLD


def decide(options: argparse.Namespace, tested: Any, result: dict[str, Any]) -> Verdict:
    """The verdict, with its reasons."""
    if tested.knee is not None:
        verdict = judge_knee(tested.knee, tested.environment.shape_class.finished)
        fail_unanswered(verdict, tested.knee, result["requests"], tested.samples, options.bounds)
    else:
        verdict = judge(
            *(result["total"], result["requests"], tested.samples, options.bounds),
            *(tested.asking, options.pause + tested.unseen, options.time),
        )
    if tested.counted and not result["interrupted"]:
        check_coverage(options, tested.counted, verdict)
    if result["workers"] and result["workers"]["lost"]:
        verdict.fail(describe_lost(result["workers"]))
    if tested.server_failed is not None:
        verdict.held, verdict.line = False, f"did not hold: {tested.server_failed}"
    if result["interrupted"]:
        verdict.held, verdict.line = False, f"interrupted after {result['total']['seconds']:.0f} s: {verdict.line}"
    explain(verdict, tested.samples, result["blockers"], result["requests"], result["errors"])
    return verdict


def check_coverage(options: argparse.Namespace, counted: Collection[Kind], verdict: Verdict) -> None:
    """Fail a verdict that says nothing of what was asked for: a visit that nobody made, or that heard nothing."""
    users = {kind.user for kind in counted}
    heard = {kind.user for kind in counted if kind.method not in OPENING}
    for visit in () if options.locustfile else options.visit:
        if visit.label not in users:
            verdict.fail(f"no verdict: nobody made the visit {visit.label}: {options.users} users are too few for all")
        elif visit.kind in LISTENING and visit.label not in heard:
            verdict.fail(f"no verdict: the server has sent no message to {visit.label} in all the time")
    for key in options.bounds.unused(counted):
        verdict.fail(f"no verdict: there was no request that the bound for {key!r} is for")


def describe_lost(workers: dict[str, Any]) -> str:
    """What has become of the workers, in words."""
    lost = workers["lost"]
    first = min(lost, key=lambda each: float(each["heard"]))
    return (
        f"no verdict: of {workers['known']} workers {len(lost)} were lost: {first['worker']}, last heard after "
        f"{first['heard']:.0f} s; the load was not what was planned, and not all of it was counted"
    )
