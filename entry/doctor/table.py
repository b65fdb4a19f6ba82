"""Prints findings: tables in colours on a terminal if rich is installed, plain lines everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from .findings import Findings, Measured

COLOURS: Final = {
    "blocks": "bold red",
    "failed": "red",
    "unknown": "yellow",
    "off": "yellow",
    "unpatched": "bold red",
    "fails": "bold red",
    "rebound": "green",
    "note": "yellow",
    "works": "green",
    "cooperative": "green",
    "patched": "green",
    "off-loaded": "green",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A table: the first cell of a row says how things are, and has its colour."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def print_findings(findings: Findings) -> None:
    """Print everything that was found, and the verdict."""
    for section in sections(findings):
        print_section(section)
    if findings.dns:
        print(f"\nDNS: {findings.dns}")
    for problem in findings.problems:
        print(f"warning: {problem}")
    blocking = findings.blocking()
    print(f"\n{len(blocking)} block: {', '.join(blocking)}" if blocking else "\nnothing that is known blocks")


def sections(findings: Findings) -> list[Section]:
    """The tables, without those that would be empty."""
    libraries = [
        (each.status, each.name, each.version, each.cost, each.remedy or (each.why if each.status == "unknown" else ""))
        for each in findings.libraries
    ]
    captures = [("rebound" if each.rebound else "unpatched", each.what) for each in findings.captures]
    pools = [("fails" if each.fails else "note", each.what, f"{each.count}", each.remedy) for each in findings.pools]
    orders = [
        (
            "failed" if each.problem else "unpatched" if each.unpatched else "works",
            each.how,
            f"{each.rebound}",
            each.problem or "; ".join(each.unpatched),
        )
        for each in findings.gunicorn
    ]
    found = [
        Section(f"Libraries of {findings.target}", ("status", "library", "version", "cost", "remedy"), libraries),
        Section("Imported too early", ("status", "what"), captures),
        Section("Pools", ("status", "pool", "alive", "remedy"), pools),
        Section("Under gunicorn", ("status", "started by", "rebound", "stays unpatched"), orders),
        Section(
            "Measured", ("verdict", "operation", "one", "at once", "longest stall", "problem"), measured_rows(findings)
        ),
    ]
    return [each for each in found if each.rows]


def measured_rows(findings: Findings) -> list[tuple[str, ...]]:
    """The probes' figures."""
    return [measured_row(each) for each in findings.measured]


def measured_row(each: Measured) -> tuple[str, ...]:
    """One probe's figures."""
    together = f"{each.count} in {each.together:.3f} s"
    return (each.verdict, each.name, f"{each.one:.3f} s", together, f"{1000 * each.stall:.0f} ms", each.problem)


def print_section(section: Section) -> None:
    """Print one table."""
    if sys.stdout.isatty() and find_spec("rich") is not None:
        print_rich(section)
    else:
        print_plain(section)


def print_rich(section: Section) -> None:
    """Print a table that fits the terminal."""
    table: Any = import_module("rich.table").Table(title=section.title, title_justify="left", expand=False)
    text: Any = import_module("rich.text").Text
    for column in section.columns:
        table.add_column(column, overflow="fold")
    for row in section.rows:
        table.add_row(text(row[0], style=COLOURS.get(row[0], "")), *(text(each) for each in row[1:]))
    import_module("rich.console").Console().print(table)


def print_plain(section: Section) -> None:
    """Print aligned lines, the last column as long as it is."""
    lines = [section.columns, *section.rows]
    widths = [max(len(each[number]) for each in lines) for number in range(len(section.columns) - 1)]
    print(f"\n{section.title}")
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        print("  " + "  ".join((*cells, line[-1])).rstrip())
