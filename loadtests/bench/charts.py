"""Plots as SVG files: bars for each case, and curves for those that are measured at several points."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import matplotlib
from matplotlib.figure import Figure

from .cases.case import SUBJECT
from .ranking import extent, in_order, unranked
from .runner import CaseResult

OURS: Final = "#c0392b"
OTHERS: Final = "#7f8c8d"
# Of figures side by side: those that hublet's name begins, and the others.
GROUPED: Final = {True: (OURS, "#e6b0aa"), False: (OTHERS, "#d5d8dc")}
COLOURS: Final = (OURS, "#2c3e50", "#2980b9", "#27ae60", "#8e44ad", "#d35400", "#16a085", "#7f8c8d")
# Text stays text, and the same data gives the same bytes.
matplotlib.rcParams["svg.fonttype"] = "none"
matplotlib.rcParams["svg.hashsalt"] = SUBJECT


def write_charts(results: list[CaseResult], directory: Path) -> dict[str, Path]:
    """Write a plot of each case that has figures into `directory`; give the files by the cases' names."""
    directory.mkdir(parents=True, exist_ok=True)
    written = {}
    for result in results:
        if any(outcome.samples for outcome in result.results):
            figure = draw(result)
            path = directory / f"{result.case.name}.svg"
            figure.savefig(path, format="svg", metadata={"Date": None})
            # matplotlib leaves blanks at the ends of lines, which reviews complain of.
            path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
            written[result.case.name] = path
    return written


def draw(result: CaseResult) -> Figure:
    """Draw a case in the way that suits it."""
    if result.case.curves:
        return draw_curves(result)
    return draw_groups(result) if result.case.bars else draw_bars(result)


def draw_groups(result: CaseResult) -> Figure:
    """Draw several figures of each row side by side, on a logarithmic axis."""
    case = result.case
    assert case.bars is not None
    outcomes = in_order(result)[::-1]
    figure = Figure(figsize=(8, 1.2 + 0.2 * len(outcomes) * (len(case.bars) + 1)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(case.bars)
    shown = [outcome.summary(case)[name] for outcome in outcomes if outcome.ranked for name in case.bars]
    colours = {ours: iter(GROUPED[ours]) for ours in GROUPED}
    for number, (name, label) in enumerate(case.bars.items()):
        places = [place + 0.4 - (number + 0.5) * height for place in range(len(outcomes))]
        values = [outcome.summary(case)[name] if outcome.ranked else math.nan for outcome in outcomes]
        axes.barh(places, values, height, label=label, color=next(colours[label.startswith(SUBJECT)]))
    axes.set_xscale("log")
    axes.set_xlim(left=10 ** math.floor(math.log10(max(min(shown, default=1), 1e-3))))
    axes.margins(y=0.01)
    axes.set_yticks(range(len(outcomes)), [outcome.server for outcome in outcomes])
    axes.set_xlabel(f"{case.bars_unit}, less is better")
    left_out = unranked(result)
    axes.set_title(case.title + (f"\nfailed or not installed: {', '.join(left_out)}" if left_out else ""))
    axes.legend(fontsize="small")
    return figure


def draw_bars(result: CaseResult) -> Figure:
    """Draw a bar for each server's median, with the spread; those that are not ranked stay empty and say so."""
    case = result.case
    outcomes = in_order(result)[::-1]
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(outcomes)), layout="constrained")
    axes = figure.subplots()
    for place, outcome in enumerate(outcomes):
        if not outcome.ranked:
            axes.text(
                0, place, f" not ranked: {outcome.errors:,} errors, {len(outcome.failures)} failed rounds", va="center"
            )
            continue
        value, found = outcome.summary(case)[case.primary], extent(case, outcome)
        assert found is not None
        whiskers = [[max(0.0, value - found[0])], [max(0.0, found[1] - value)]]
        colour = OURS if outcome.server in case.subjects else OTHERS
        axes.barh(place, value, xerr=whiskers, color=colour, ecolor="black", capsize=2)
    axes.set_yticks(range(len(outcomes)), [outcome.server for outcome in outcomes])
    heading = next(column.heading for column in case.columns if f"{{{case.primary}" in column.form)
    axes.set_xlabel(f"{heading}, {'more' if case.more_is_better else 'less'} is better")
    axes.set_title(case.title)
    return figure


def draw_curves(result: CaseResult) -> Figure:
    """Draw each of a case's figures over its points, a line for each server."""
    assert result.case.curves is not None
    points, headings = result.case.curves
    figure = Figure(figsize=(10, 7), layout="constrained")
    for axes, (name, heading) in zip(figure.subplots(2, 2).flat, headings.items(), strict=True):
        shown: list[float] = []
        for number, outcome in enumerate(result.results):
            if not outcome.ranked:
                continue
            summary = outcome.summary(result.case)
            values = [summary[f"{name}_{point}"] or math.nan for point in points]  # less than a tick of the clock
            axes.plot(points, values, marker="o", label=outcome.server, color=COLOURS[number % len(COLOURS)])
            shown += values
        axes.set_xscale("log")
        if any(value > 0 for value in shown):  # matplotlib draws no logarithmic axis without any
            axes.set_yscale("log")
        axes.set_title(heading)
        if shown:
            axes.legend(fontsize="small")
    left_out = unranked(result)
    figure.suptitle(
        result.case.title + (f"\nnot ranked, so without a curve: {', '.join(left_out)}" if left_out else "")
    )
    return figure
