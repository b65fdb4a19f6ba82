"""Who is first in a case, by how much figures spread, and where hublet is not first."""

from __future__ import annotations

import re

from .cases.case import SUBJECT, Case
from .runner import CaseResult, ServerResult
from .stats import ratio


def in_order(result: CaseResult) -> list[ServerResult]:
    """Give the servers, the best first, and then those that are not ranked, since they dropped something."""
    case = result.case
    ranked = [outcome for outcome in result.results if outcome.ranked]
    ranked.sort(key=lambda outcome: outcome.summary(case)[case.primary], reverse=case.more_is_better)
    return ranked + [outcome for outcome in result.results if not outcome.ranked]


def unranked(result: CaseResult) -> list[str]:
    """Give the names of the servers that are not ranked, and of those that are not installed."""
    return [outcome.server for outcome in result.results if not outcome.ranked] + result.missing


def primary_form(case: Case) -> str:
    """Give the format of a case's primary figure, as a column has it."""
    for column in case.columns:
        found = re.search(rf"\{{{case.primary}(:[^}}]*)?\}}", column.form)
        if found:
            return found.group()
    raise ValueError(f"no column of {case.name} shows {case.primary}")


def extent(case: Case, outcome: ServerResult) -> tuple[float, float] | None:
    """Give the least and the greatest primary figure of the rounds, or None without any."""
    figures = [sample[case.primary] for sample in outcome.samples]
    return (min(figures), max(figures)) if figures else None


def show_extent(case: Case, outcome: ServerResult) -> str:
    """Write the spread of the primary figure over the rounds."""
    found = extent(case, outcome)
    if found is None:
        return ""
    if len(outcome.samples) == 1:
        return "one round"
    form = primary_form(case)
    return " to ".join(form.format_map({case.primary: figure}) for figure in found)


def not_first(result: CaseResult) -> str | None:
    """Say who beats hublet in a case and by how much, what is slower with it than without, or that it failed.

    None where it is first. Each style of hublet that takes part is held against the others by itself.
    """
    case = result.case
    found = [words for outcome in result.results if outcome.server in case.subjects for words in leads(result, outcome)]
    if case.over:
        slower = [
            f"{outcome.summary(case)[case.primary]:.2f} x with {outcome.server}"
            for outcome in in_order(result)[::-1]
            if outcome.ranked and outcome.summary(case)[case.primary] > 1
        ]
        found += [f"{SUBJECT} takes more time than {case.over}: {', '.join(slower)}"] if slower else []
    return f"**{case.title}**: {'; '.join(found)}" if found else None


def leads(result: CaseResult, ours: ServerResult) -> list[str]:
    """Say which of the others are better than one of ours, or that it is not ranked."""
    if not ours.ranked:
        return [f"{ours.server} is not ranked: {ours.failures[0]}"]
    ordered = in_order(result)
    before = ordered[: ordered.index(ours)]
    return [describe_lead(result.case, ours, each) for each in before if each.server not in result.case.subjects]


def describe_lead(case: Case, ours: ServerResult, other: ServerResult) -> str:
    """Say how hublet stands to a server that is better."""
    figures = [outcome.summary(case)[case.primary] for outcome in (ours, other)]
    form = primary_form(case)
    shown = [form.format_map({case.primary: figure}) for figure in figures]
    value = ratio(figures[0], figures[1], more_is_better=case.more_is_better)
    behind = "" if value is None else f", {ours.server} is {value:.2f} x as good"
    mine, its = extent(case, ours), extent(case, other)
    overlap = mine and its and mine[0] <= its[1] and its[0] <= mine[1] and len(ours.samples) > 1
    return f"{other.server} has {shown[1]} against {shown[0]}{behind}{' (their rounds overlap)' if overlap else ''}"
