"""Draws line plots as SVG: no script, no network, readable on light and on dark, with a title for screen readers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 860
HEIGHT: Final = 274
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 50, 34
TICKS: Final = 5
# Differ in brightness as well as in hue; each line has a dash pattern of its own besides.
DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "12 4", "5 2 1 2")

STYLE: Final = """
.plot { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
.plot text { fill: var(--text); }
.plot line, .plot polyline { vector-effect: non-scaling-stroke; }
@media (max-width: 600px) { .plot { font-size: 24px; } }
.plot .grid { stroke: var(--grid); stroke-width: 1; }
.plot .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.plot .bound { stroke: var(--bad); stroke-width: 1; stroke-dasharray: 4 4; }
.series0 { stroke: var(--series0); } .series1 { stroke: var(--series1); }
.series2 { stroke: var(--series2); } .series3 { stroke: var(--series3); }
.series4 { stroke: var(--series4); } .series5 { stroke: var(--series5); }
"""


class Series(NamedTuple):
    """A line of a plot: its name, and (x, y) in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


def nice_step(most: float, ticks: int = TICKS) -> float:
    """The distance of round ticks, 1, 2 or 5 times a power of ten, of which `most` takes about `ticks`."""
    if most <= 0:
        return 1.0
    raw = most / ticks
    power = 10.0 ** math.floor(math.log10(raw))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= raw), 10 * power)


def ticks_to(most: float) -> list[float]:
    """Round values from 0 to the first one that is not below `most`."""
    step = nice_step(most)
    return [step * index for index in range(math.ceil(round(most / step, 9)) + 1)] if most > 0 else [0.0, 1.0]


def line_plot(title: str, unit: str, series: Iterable[Series], bound: float | None = None) -> str:
    """An SVG element with one line for each series over seconds; `bound` is drawn as a limit."""
    drawn = [each for each in series if each.points]
    xs = [x for each in drawn for x, _ in each.points]
    ys = [y for each in drawn for _, y in each.points]
    across, up = ticks_to(max(xs, default=1.0)), ticks_to(max(ys, default=1.0))
    right, top = max(max(xs, default=1.0), 1e-9), up[-1]

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            round(LEFT + x / right * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM), 1),
        )

    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for y in up:
        _, height = at(0, y)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height}" y2="{height}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{height + 4}" text-anchor="end">{y:g}</text>')
    for x in across:
        if x <= right:
            place, _ = at(x, 0)
            parts.append(f'<text x="{place}" y="{HEIGHT - BOTTOM + 26}" text-anchor="middle">{x:g} s</text>')
    parts.append(f'<text x="4" y="20">{escape(unit)}</text>')
    if bound is not None and bound <= top:
        _, height = at(0, bound)
        parts.append(f'<line class="bound" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height}" y2="{height}"/>')
    for number, each in enumerate(drawn):
        points = " ".join(f"{x},{y}" for x, y in (at(*point) for point in each.points))
        dash = DASHES[number % len(DASHES)]
        parts.append(
            f'<polyline class="line series{number % len(DASHES)}" stroke-dasharray="{dash}" '
            f'data-series="{escape(each.name)}" points="{points}"/>'
        )
    return "\n".join([*parts, "</svg>", legend(drawn)])


def legend(series: Sequence[Series]) -> str:
    """The names of the lines, each beside a piece of it."""
    items = []
    for number, each in enumerate(series):
        look = (
            f'class="series{number % len(DASHES)}" stroke-width="2" stroke-dasharray="{DASHES[number % len(DASHES)]}"'
        )
        piece = f'<svg width="28" height="10" aria-hidden="true"><line {look} x1="0" x2="28" y1="5" y2="5"/></svg>'
        items.append(f"<li>{piece} {escape(each.name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'
