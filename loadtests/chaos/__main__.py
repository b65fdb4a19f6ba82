"""The command line of the campaign."""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..bench import wrk
from ..bench.errors import RoundFailed
from ..bench.machine import describe_machine
from ..bench.signals import end_on_signals
from .cluster import cluster
from .report import Campaign, to_markdown, write_report
from .steps import STEPS, Outcome, Plan

DOCS: Final = Path("docs")
FULL: Final = Plan()
BRIEF: Final = Plan(reloads=1, terminations=1, import_seconds=1.0, grace=2.0, pause=0.2, judges_latency=False)


def make_parser() -> argparse.ArgumentParser:
    """Declare the options."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.chaos", description="Reload, terminate, kill and upgrade hublet under load."
    )
    parser.add_argument("--brief", action="store_true", help="one reload, one terminated worker, an import of 1 s")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help=f"where the report is written; default: {DOCS}, or nowhere if brief"
    )
    return parser


def show(line: str) -> None:
    """Tell the person who waits how far it is."""
    print(line, file=sys.stderr, flush=True)


def run_campaign(plan: Plan, command: str) -> Campaign:
    """Run every step. Raises RoundFailed where a step does not come to an end."""
    machine = describe_machine()
    outcomes: list[Outcome] = []
    with (
        tempfile.TemporaryDirectory(prefix="hublet-chaos-") as name,
        cluster(Path(name) / "deploy", plan.grace) as made,
    ):
        for step in STEPS:
            for outcome in step(made, plan):
                outcomes.append(outcome)
                show(
                    f"{outcome.name}: {outcome.requests:,} requests, {outcome.lost:,} lost, {outcome.p99_ms:.1f} ms p99"
                )
                for violation in outcome.violations:
                    show(f"{outcome.name}: VIOLATED: {violation}")
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Campaign(date, command, machine, outcomes)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign; 0 if nothing was violated, 1 if anything was, 2 if it could not be run."""
    given = sys.argv[1:] if argv is None else list(argv)
    arguments = make_parser().parse_args(given)
    end_on_signals()
    if not wrk.is_installed():
        show(f"loadtests.chaos: {wrk.MISSING}")
        return 2
    try:
        campaign = run_campaign(
            BRIEF if arguments.brief else FULL, shlex.join(["python", "-m", "loadtests.chaos", *given])
        )
    except RoundFailed as failure:
        show(f"loadtests.chaos: {failure.reason}")
        return 1
    output = arguments.output or (None if arguments.brief else DOCS)
    if output is None:
        print(to_markdown(campaign))
    else:
        for path in write_report(campaign, output):
            show(f"wrote {path}")
    return 0 if campaign.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())
