"""Who is first in a case, by how much figures spread, and where hublet is not first."""

from __future__ import annotations

import re

from .cases.case import Case
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
    """Say who beats hublet in a case and by how much, or that hublet is not ranked; None where hublet is first."""
    case = result.case
    subjects = [outcome for outcome in result.results if outcome.server in case.subjects]
    if result.skipped or not subjects:
        return None
    ours = next((outcome for outcome in in_order(result) if outcome in subjects and outcome.ranked), None)
    if ours is None:
        return f"**{case.title}**: {subjects[0].server} is not ranked: {subjects[0].failures[0]}"
    better = [outcome for outcome in in_order(result) if outcome.ranked and outcome not in subjects]
    better = [outcome for outcome in better if in_order(result).index(outcome) < in_order(result).index(ours)]
    if not better:
        return None
    return f"**{case.title}**: {'; '.join(describe_lead(case, ours, outcome) for outcome in better)}"


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
