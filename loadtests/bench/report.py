"""Writes a run as Markdown for readers and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from .cases.case import SUBJECT
from .charts import write_charts
from .ranking import in_order, not_first, show_extent, unranked
from .runner import CaseResult, ServerResult
from .servers.server import LIBRARY
from .stats import ratio
from .targets import Verdict, judge

MARKDOWN: Final = "benchmarks.md"
JSON: Final = "benchmarks.json"
CHARTS: Final = "benchmarks"


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run: when, how and on what, and the result of every case. `commands` are those of the servers."""

    date: str
    command: str
    rounds: int
    seconds: int
    seed: int
    machine: dict[str, str]
    versions: dict[str, str]
    commands: dict[str, str]
    results: Sequence[CaseResult]


def write_report(run: Run, directory: Path) -> list[Path]:
    """Write both files and the plots into `directory` and return their paths; first that with every single round."""
    directory.mkdir(parents=True, exist_ok=True)
    markdown, json_file = directory / MARKDOWN, directory / JSON
    json_file.write_text(json.dumps(to_json(run), indent=2) + "\n")
    charts = write_charts(list(run.results), directory / CHARTS)
    markdown.write_text(to_markdown(run, {name: str(path.relative_to(directory)) for name, path in charts.items()}))
    return [markdown, json_file, *charts.values()]


def to_markdown(run: Run, charts: Mapping[str, str] = MappingProxyType({})) -> str:
    """Write the whole report for readers; `charts` are the plots by the cases' names."""
    losses = [f"- {loss}" for result in run.results if (loss := not_first(result))]
    parts = [
        "# Benchmarks",
        f"Written by `{run.command}` on {run.date}. {summary(run)}",
        how_to_read(run),
        f"## Where {SUBJECT} is not first",
        "\n".join(losses) or "Nowhere in this run.",
        "## Targets",
        table(("Target", "Aim", "Measured", "Verdict"), [verdict_row(v) for r in run.results for v in judge(r)]),
        *(case_section(result, charts.get(result.case.name)) for result in run.results),
        "## Servers",
        "`$python` is the interpreter of the environment that has hublet, `$peers` that of the others.",
        table(
            ("Name", "Version", "Started by"),
            [(name, version, run.commands.get(name, "")) for name, version in run.versions.items()],
        ),
        "## Machine",
        table(("", ""), list(run.machine.items())),
    ]
    return "\n\n".join(parts) + "\n"


def summary(run: Run) -> str:
    """Say in how many cases hublet is first, and how many targets it misses."""
    raced = [each for each in run.results if each.case.subjects and not each.skipped]
    first = sum(not_first(each) is None for each in raced)
    verdicts = [verdict for each in run.results for verdict in judge(each) if verdict.met is not None]
    missed = sum(verdict.met is False for verdict in verdicts)
    return (
        f"{SUBJECT} is first in {first} of {len(raced)} cases, in every style of it that takes part, and misses "
        f"{missed} of {len(verdicts)} targets that were measured."
    )


def how_to_read(run: Run) -> str:
    """Say how it was measured, and what the figures can be used for."""
    rounds = "1 round" if run.rounds == 1 else f"{run.rounds} rounds"
    lines = (
        f"Every server ran alone on one core with the load generator on another, for at most {rounds} of "
        f"{run.seconds} s, interleaved, in an order that is drawn anew for each round (`--seed {run.seed}`).",
        "Figures are medians over the rounds, with the least and the greatest beside them, and the number of rounds.",
        "A server that dropped a request, or failed in a round, is not ranked, however fast it was.",
        f'"{SUBJECT} is" says how many times as good {SUBJECT} was, as a ratio of these medians: such ratios can be '
        "compared with those of other machines, the figures themselves cannot.",
        "The load generators ask again only after the answer (coordinated omission): while a server serves some of its "
        "connections and neglects others, p50 and p99 are mostly those of the former.",
    )
    return "\n".join(f"- {line}" for line in lines)


def verdict_row(verdict: Verdict) -> tuple[str, ...]:
    """Write a target's row: what it is, the aim, what was measured, the verdict."""
    target = verdict.target
    unit = " x" if target.over else f" {target.unit}" if target.unit else ""
    measured = "" if verdict.measured is None else f"{verdict.measured:,.4g}{unit}"
    text = f"**{verdict.text}**" if verdict.met is False else verdict.text
    return (target.text, f"{target.sense} {target.bound:g}{unit}", measured, text)


def case_section(result: CaseResult, chart: str | None = None) -> str:
    """Write a case: what was done, a row for each server, and what went wrong."""
    case = result.case
    parts = [f"## {case.title}", case.method]
    if result.skipped:
        parts.append(f"**Skipped:** {result.skipped}.")
    else:
        ratios = (f"{subject} is" for subject in case.subjects)
        columns = (column.heading for column in case.columns)
        measured = "Library" if case.needs == LIBRARY else "Server"
        headings = ("#", measured, *columns, "least to greatest", *ratios, "Errors", "Rounds")
        ordered = enumerate(in_order(result), 1)
        parts.append(table(headings, (server_row(result, outcome, place) for place, outcome in ordered)))
    if chart:
        parts.append(f"![{case.title}]({chart})")
    if case.curves and (left_out := unranked(result)):
        parts.append(f"Without a curve, since not ranked: {', '.join(left_out)}.")
    if result.missing:
        parts.append(f"Not installed, so not compared: {', '.join(result.missing)}.")
    reasons = [f"- {o.server}: {reason}" for o in result.results for reason in dict.fromkeys(o.failures)]
    if reasons:
        parts.append("Why rounds failed:\n\n" + "\n".join(reasons))
    return "\n\n".join(parts)


def server_row(result: CaseResult, outcome: ServerResult, place: int) -> tuple[str, ...]:
    """Write a server's row of a case."""
    case = result.case
    summary = outcome.summary(case)
    cells = [column.form.format_map(summary) if summary else "" for column in case.columns]
    ratios = (ratio_cell(result, subject, outcome) for subject in case.subjects)
    ranked = str(place) if outcome.ranked else "not ranked"
    return (
        ranked,
        outcome.server,
        *cells,
        show_extent(case, outcome),
        *ratios,
        f"{outcome.errors:,}",
        rounds_cell(outcome),
    )


def rounds_cell(outcome: ServerResult) -> str:
    """Write how many rounds a server had, and how many of them failed."""
    count = len(outcome.failures) + len(outcome.samples)
    return f"{len(outcome.failures)} of {count} failed" if outcome.failures else f"{count}"


def ratio_cell(result: CaseResult, name: str, outcome: ServerResult) -> str:
    """Write how many times as good the subject of that name was, where both have figures."""
    subject = result.of(name)
    if subject is None or outcome is subject or not subject.ranked or not outcome.ranked:
        return ""
    case = result.case
    figures = [found.summary(case)[case.primary] for found in (subject, outcome)]
    value = ratio(figures[0], figures[1], more_is_better=case.more_is_better)
    return "" if value is None else f"{value:.2f} x"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar within a cell, as servers print them, is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def to_json(run: Run) -> dict[str, Any]:
    """Write the whole run for programs, with every single round."""
    return {
        "date": run.date,
        "command": run.command,
        "rounds": run.rounds,
        "seconds": run.seconds,
        "seed": run.seed,
        "machine": run.machine,
        "versions": run.versions,
        "commands": run.commands,
        "targets": [verdict_json(result.case.name, v) for result in run.results for v in judge(result)],
        "cases": {result.case.name: case_json(result) for result in run.results},
    }


def verdict_json(case: str, verdict: Verdict) -> dict[str, Any]:
    """Write a target with its verdict for programs."""
    target = verdict.target
    return {
        "case": case, "text": target.text, "figure": target.figure, "sense": target.sense, "bound": target.bound,
        "over": target.over, "measured": verdict.measured, "met": verdict.met, "verdict": verdict.text,
    }  # fmt: skip


def case_json(result: CaseResult) -> dict[str, Any]:
    """Write a case for programs."""
    return {
        "title": result.case.title,
        "primary": result.case.primary,
        "more_is_better": result.case.more_is_better,
        "skipped": result.skipped,
        "missing": result.missing,
        "servers": {
            outcome.server: {
                "summary": outcome.summary(result.case),
                "rounds": outcome.samples,
                "failures": outcome.failures,
                "errors": outcome.errors,
            }
            for outcome in result.results
        },
    }
