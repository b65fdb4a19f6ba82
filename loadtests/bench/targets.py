"""Holds what was measured against what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass

from .cases.case import Target
from .runner import CaseResult, ServerResult
from .stats import ratio


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target: the `measured` figure or ratio and whether it was `met`, both None if it could not be measured."""

    target: Target
    measured: float | None
    met: bool | None
    text: str


def judge(result: CaseResult) -> list[Verdict]:
    """Hold each of a case's targets against its result."""
    return [judge_target(target, result) for target in result.case.targets]


def judge_target(target: Target, result: CaseResult) -> Verdict:
    """Hold one target against a case's result."""
    needed = [name for name in (target.subject, target.over) if name is not None]
    for name in needed:
        obstacle = why_unmeasured(name, result)
        if obstacle:
            return Verdict(target, None, None, f"not measured: {obstacle}")
    outcomes = [found for name in needed if (found := result.of(name)) is not None]
    figures = [outcome.summary(result.case)[target.figure] for outcome in outcomes]
    measured: float | None = figures[0]
    if target.over is not None:
        measured = ratio(figures[0], figures[1], more_is_better=result.case.more_is_better)
    if measured is None:
        return Verdict(target, None, None, "not measured: the figure to compare with is zero")
    met = measured >= target.bound if target.sense == "at least" else measured <= target.bound
    return Verdict(target, measured, met, ("met" if met else "missed") + margin(target, measured) + doubts(outcomes))


def why_unmeasured(server: str, result: CaseResult) -> str | None:
    """Say why there are no figures of a server, or None if there are."""
    if result.skipped:
        return "the case was skipped"
    if server in result.missing:
        return f"{server} is not installed"
    outcome = result.of(server)
    if outcome is None:
        return f"{server} was not asked for"
    return None if outcome.samples else f"every round of {server} failed"


def margin(target: Target, measured: float) -> str:
    """By how much: a percentage of the bound, or the figure itself where the bound is zero."""
    if not target.bound:
        return f" by {measured:g}" if measured else ""
    return f" by {abs(measured / target.bound - 1):.0%}"


def doubts(outcomes: list[ServerResult]) -> str:
    """A note about the rounds that the figures do not contain."""
    notes = [
        f"{len(outcome.failures)} of {len(outcome.failures) + len(outcome.samples)} rounds of {outcome.server} failed"
        for outcome in outcomes
        if outcome.failures
    ]
    return f" ({'; '.join(notes)})" if notes else ""
