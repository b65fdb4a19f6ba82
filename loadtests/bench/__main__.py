"""The command line of the comparison."""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .cases import CASES, GROUPS
from .cases.case import Case, Options
from .errors import UsageError
from .machine import arrange_process, describe_machine, require_machine
from .quotes import DOCUMENTS, update_documents
from .report import Run, to_markdown, write_report
from .runner import CaseResult, choose_servers, run_case
from .schedule import Schedule
from .servers import BY_NAME
from .servers.server import program
from .signals import end_on_signals, signals_held

DOCS: Final = Path("docs")
ROUGH: Final = Path("build/benchmarks")  # one round is not for publishing
DEFAULTS: Final = Options()
# What --compare stands for. All three rounds take about half an hour; the schedule leaves out what does not fit.
WHOLE: Final = {"rounds": 3, "duration": 1, "transfer_mib": 256, "budget": 35}
QUICK: Final = {"rounds": 1, "duration": 1, "transfer_mib": 128, "warm_up": 0, "budget": 8, "connections": 1000}
CASE_NAMES: Final = tuple(case.name for case in CASES)


def positive(text: str) -> int:
    """Read a whole number from 1 up."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def names(text: str) -> list[str]:
    """Read names that are separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def make_parser() -> argparse.ArgumentParser:
    """Declare the options."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description="Compare hublet with the other servers that are installed.",
        epilog=f"Cases: {', '.join(CASE_NAMES)}. Groups of cases: {', '.join(GROUPS)}. Servers: {', '.join(BY_NAME)}.",
    )
    parser.add_argument(
        "--only", type=names, default=[], metavar="CASES", help="cases or groups to run, by commas; default: all"
    )
    parser.add_argument("--servers", type=names, default=[], help="servers to run, by commas; default: each case's own")
    parser.add_argument("--rounds", type=positive, default=DEFAULTS.rounds, help="rounds of each server (%(default)s)")
    parser.add_argument(
        "--duration", type=positive, default=DEFAULTS.seconds, metavar="S", help="seconds of one round (%(default)s)"
    )
    parser.add_argument(
        "--connections", type=positive, default=DEFAULTS.connections, help="of the crowded cases (%(default)s)"
    )
    parser.add_argument(
        "--transfer-mib",
        type=positive,
        default=DEFAULTS.transfer_mib,
        metavar="MIB",
        help="size of a transfer (%(default)s)",
    )
    parser.add_argument(
        "--warm-up", type=int, choices=(0, 1, 2), default=DEFAULTS.warm_up, help="seconds before a round (%(default)s)"
    )
    parser.add_argument(
        "--server-core", type=int, default=DEFAULTS.server_core, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--load-core", type=int, default=DEFAULTS.load_core, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--output", type=Path, metavar="DIR",
        help=f"where the report is written; default: only printed, and {DOCS} with --compare",
    )  # fmt: skip
    parser.add_argument(
        "--budget", type=positive, metavar="MIN",
        help=f"leave out rounds, but for the first, that would take longer; {WHOLE['budget']} with --compare",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=None, metavar="N",
        help="what the order of the servers in each round is drawn from; default: the time. The report has it",
    )  # fmt: skip
    parser.add_argument(
        "--compare", action="store_true",
        help=f"the whole matrix within {WHOLE['budget']} minutes; writes {DOCS}/benchmarks.* and README.rst's block",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help=f"with --compare: one short round of each, in 8 minutes, into {ROUGH}"
    )
    return parser


def apply_profile(arguments: argparse.Namespace) -> None:
    """Turn --compare and --quick into what they stand for. Raises UsageError where they are used wrongly."""
    if arguments.quick and not arguments.compare:
        raise UsageError("--quick goes with --compare; parts are shortened by --rounds and --duration")
    if not arguments.compare:
        return
    if arguments.only or arguments.servers:
        raise UsageError("--compare is the whole matrix: leave out --only and --servers, or leave out --compare")
    profile = QUICK if arguments.quick else WHOLE
    for name, value in profile.items():
        if getattr(arguments, name) == make_parser().get_default(name):
            setattr(arguments, name, value)
    arguments.output = arguments.output or (ROUGH if arguments.quick else DOCS)


def choose_cases(wanted: Sequence[str]) -> list[Case]:
    """Give the cases that are wanted by name, or all, in the order of the report."""
    unknown = sorted(set(wanted) - set(CASE_NAMES) - set(GROUPS))
    if unknown:
        raise UsageError(f"unknown case {', '.join(unknown)}; known are: {', '.join([*CASE_NAMES, *GROUPS])}")
    chosen = {case.name for name in wanted for case in GROUPS.get(name, ())}.union(wanted)
    return [case for case in CASES if case.name in chosen or not wanted]


def show(line: str) -> None:
    """Tell the person who waits how far it is."""
    print(line, file=sys.stderr, flush=True)


def run_comparison(arguments: argparse.Namespace, command: str) -> Run:
    """Run the chosen cases one after another. Raises UsageError before anything is started."""
    options = Options(
        rounds=arguments.rounds, seconds=arguments.duration, warm_up=arguments.warm_up,
        connections=arguments.connections,
        transfer_mib=arguments.transfer_mib, server_core=arguments.server_core, load_core=arguments.load_core,
        seed=int(time.time()) if arguments.seed is None else arguments.seed,
    )  # fmt: skip
    chosen = [(case, choose_servers(case, arguments.servers)) for case in choose_cases(arguments.only)]
    require_machine(options)
    arrange_process(options)
    machine = describe_machine()
    budget = arguments.budget * 60 if arguments.budget else None
    schedule = Schedule([(case, len(servers)) for case, servers in chosen], options, budget)
    show(f"about {schedule.remaining_seconds() / 60:.0f} minutes")
    results = [run_case(case, servers, options, show, schedule) for case, servers in chosen if servers]
    compared = list({server.name: server for _, servers in chosen for server in servers}.values())
    versions = {server.name: server.version() or "not installed" for server in compared}
    return Run(
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=command,
        rounds=options.rounds,
        seconds=options.seconds,
        seed=options.seed,
        machine=machine,
        commands={server.name: f"`{' '.join(server.command)}`" for server in compared if server.command},
        versions=versions | {"load generator": program("wrk", "--version")() or "wrk is not installed"},
        results=results,
    )


def publish(run: Run, directory: Path) -> None:
    """Write the report, and what quotes it where it is that of the repository."""
    for path in write_report(run, directory):
        show(f"wrote {path}")
    if directory == DOCS:
        update_documents()
        show(f"wrote the blocks of {', '.join(path.name for path in DOCUMENTS)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison.

    Returns 0 if every round of hublet's was good, 1 if one failed or a case was skipped, 2 for a wrong usage. What the
    others cannot do is in the report.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    arguments = make_parser().parse_args(given)
    end_on_signals()
    try:
        apply_profile(arguments)
        run = run_comparison(arguments, shlex.join(["python", "-m", "loadtests.bench", *given]))
    except UsageError as error:
        show(f"loadtests.bench: {error}")
        return 2
    if arguments.output is None:
        print(to_markdown(run))
    else:
        with signals_held():  # they are published together: one alone, or half of one, would contradict the others
            publish(run, arguments.output)
    return 0 if all(is_good(result) for result in run.results) else 1


def is_good(result: CaseResult) -> bool:
    """Tell whether a case was not skipped, and every round of those whose case it is was good."""
    subjects = result.case.subjects
    judged = [outcome for outcome in result.results if outcome.server in subjects] or result.results
    return result.skipped is None and not any(outcome.failures for outcome in judged)


if __name__ == "__main__":
    sys.exit(main())
