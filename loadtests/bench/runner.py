"""Runs cases: rounds outside, servers inside, so that a change of the machine's speed touches all of them alike.

The order of the servers is drawn anew for each round: none always comes first, or always after the same other one.
"""

from __future__ import annotations

import random
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from .cases.case import Case, Options
from .errors import RoundFailed, UsageError
from .launch import running
from .schedule import Schedule
from .servers import BY_NAME
from .servers.server import Server
from .stats import Sample, summarise

Progress = Callable[[str], None]
Entry = tuple[Server, "ServerResult"]


@dataclass(slots=True)
class ServerResult:
    """One server's rounds of one case: the figures of the good ones and the reasons of the others.

    `errors` are all requests and connections that failed, as far as they were counted.
    """

    server: str
    samples: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    errors: int = 0

    @property
    def ranked(self) -> bool:
        """Whether it is compared at all: a server that drops requests, or fails a round, is not fast."""
        return bool(self.samples) and not self.failures

    def summary(self, case: Case) -> dict[str, float]:
        """Give the server's figures over all rounds; {} if none was good."""
        return summarise(self.samples, case.worst)


@dataclass(slots=True)
class CaseResult:
    """What a case gave. `missing` names servers that are not installed, `skipped` says why nothing ran at all."""

    case: Case
    results: list[ServerResult] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    skipped: str | None = None

    def of(self, server: str) -> ServerResult | None:
        """Give the result of a server, or None if it did not take part."""
        return next((result for result in self.results if result.server == server), None)


def choose_servers(case: Case, wanted: Sequence[str]) -> list[Server]:
    """The servers to compare in a case: its own, or those of the wanted ones that are able to run it."""
    if not wanted:
        return [BY_NAME[name] for name in case.servers]
    unknown = sorted(set(wanted) - set(BY_NAME))
    if unknown:
        raise UsageError(f"unknown server {', '.join(unknown)}; known are: {', '.join(BY_NAME)}")
    return [BY_NAME[name] for name in wanted if case.needs in BY_NAME[name].abilities]


def run_case(
    case: Case, servers: Sequence[Server], options: Options, progress: Progress, schedule: Schedule | None = None
) -> CaseResult:
    """Run the rounds of a case, as many as there are or as the schedule has time for, and always one.

    A server that fails fails alone; what it says goes into the result.
    """
    schedule = schedule or Schedule([(case, len(servers))], options)
    schedule.begin_case(case)
    result = CaseResult(case, skipped=case.obstacle(options))
    if result.skipped:
        progress(f"{case.name}: skipped: {result.skipped}")
        return result
    result.missing = [server.name for server in servers if server.version() is None]
    for server in servers:
        if server.name in result.missing:
            progress(f"{case.name}: {server.name} is not installed. {server.why_missing()}".rstrip())
    present = [server for server in servers if server.name not in result.missing]
    result.results = [ServerResult(server.name) for server in present]
    begun = False
    try:
        with ExitStack() as beside:
            folder = tempfile.TemporaryDirectory(prefix="hublet-bench-", ignore_cleanup_errors=True)
            directory = Path(beside.enter_context(folder))
            case.prepare(options, directory)
            beside.enter_context(case.beside(options, directory))
            begun = True
            run_rounds(result, present, options, directory, progress, schedule)
    except Exception as error:  # whichever it is: what was measured before is not to be lost, nor the cases after it
        if begun:
            progress(f"{case.name}: what it needs beside the servers did not end: {error}")
        else:
            result.skipped = f"what it needs beside the servers failed: {error}"
            progress(f"{case.name}: skipped: {result.skipped}")
    return result


def run_rounds(
    result: CaseResult,
    present: Sequence[Server],
    options: Options,
    directory: Path,
    progress: Progress,
    schedule: Schedule,
) -> None:
    """Run the rounds of a case that is prepared, and add them to `result`."""
    case = result.case
    rounds = schedule.rounds(case)
    for number in range(1, rounds + 1):
        if not schedule.has_time_for_round(number):
            progress(f"{case.name}: its share of the time is used up after {number - 1} rounds")
            break
        for server, outcome in drawn(list(zip(present, result.results, strict=True)), case, number, options):
            shown = run_round(case, server, options, directory, outcome)
            progress(f"{case.name}, round {number} of {rounds}, {server.name}: {shown}{schedule.left()}")


def drawn(entries: list[Entry], case: Case, number: int, options: Options) -> list[Entry]:
    """Draw the order of a round; the same seed gives the same one."""
    return random.Random(f"{options.seed} {case.name} {number}").sample(entries, len(entries))


def take_sample(case: Case, server: Server, options: Options, directory: Path) -> Sample:
    """Take one round's figures, of a server that runs for it or of what needs none."""
    if case.alone is not None:
        return case.alone(server, options, directory)
    with running(server, case.app, directory, options.server_core, case.probe) as target:
        return case.measure(target, options)


def run_round(case: Case, server: Server, options: Options, directory: Path, outcome: ServerResult) -> str:
    """Run one round of one server, add it to `outcome`, and return a line about it."""
    try:
        sample = take_sample(case, server, options, directory)
        shown = ", ".join(f"{column.heading} {column.form.format_map(sample)}" for column in case.columns)
    except RoundFailed as failure:
        outcome.failures.append(failure.reason)
        outcome.errors += failure.errors
        return f"failed: {failure.reason}"
    except Exception as error:  # a mistake in a case, or a client's surprise, must not cost all that was measured
        outcome.failures.append(f"{type(error).__name__}: {error}")
        return f"failed: {''.join(traceback.format_exception(error)).rstrip()}"
    outcome.samples.append(sample)
    return shown
