"""Writes the report: one HTML file that needs nothing else, and its data as JSON and CSV."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from .plots import STYLE, Series, line_plot
from .recorder import INTERVAL, Kind

PAGE_STYLE: Final = """
:root { color-scheme: light dark; --text: #1b1f24; --back: #ffffff; --grid: #d5dae0; --bad: #b3261e; --good: #1a7f37;
  --series0: #0b5cad; --series1: #b35900; --series2: #1a7f37; --series3: #8e24aa; --series4: #5f6b00;
  --series5: #b0004e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ed; --back: #14171b; --grid: #3a4048; --bad: #ff8a80;
  --good: #6fdd8b; --series0: #79b8ff; --series1: #ffb066; --series2: #7ee29a; --series3: #d9a3f0; --series4: #d5df6b;
  --series5: #ff9cc4; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 900px;
  margin: 2rem auto; padding: 0 1rem; }
.verdict { border-left: 6px solid var(--good); padding: .25rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.verdict ul { margin: .5rem 0 0; padding-left: 1.25rem; white-space: normal; }
.verdict.bad { border-color: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 1.25rem; list-style: none; padding: 0; margin: 0 0 1rem;
  font-size: 14px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; display: block; overflow-x: auto; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th.text, td.text { text-align: left; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
td.over { color: var(--bad); font-weight: bold; }
"""


FILES: Final = ("report.html", "report.json", "timeline.csv", "requests.csv", "timeline-requests.csv")
# What is a table of its own in every sample.
NESTED: Final = ("kinds", "by_user")
# More lines than this cannot be told apart.
MOST_LINES: Final = 6
LONG: Final = 40
FIGURE: Final = re.compile(r"[0-9.]*(%| s)?")


def write_report(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write report.html, report.json, and the tables of FILES; returns their paths, the page first."""
    paths = [folder / name for name in FILES]
    paths[0].write_text(render(result), encoding="utf-8")
    paths[1].write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    write_csv(paths[2], [flat(each) for each in result["samples"]])
    write_csv(paths[3], result["requests"])
    write_csv(paths[4], [{"at": each["at"], **row} for each in result["samples"] for row in each["kinds"]])
    return paths


def flat(sample: dict[str, Any]) -> dict[str, Any]:
    """A sample without what it has by kind."""
    return {name: value for name, value in sample.items() if name not in NESTED}


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows under the names of all their fields."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def render(result: dict[str, Any]) -> str:
    """The page."""
    title = f"Load test of {result['target']}"
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(result["began"]))
    options = result["options"]
    state = "" if result["verdict"]["held"] else " bad"
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<main>",
        f"<h1>{escape(title)}</h1>",
        f"<p>{when}; shape {options['shape']}, up to {options['users']} users, {result['total']['seconds']:.0f} s</p>",
        f'<div class="verdict{state}">{verdict(result["verdict"]["text"])}</div>',
        *plots(result),
        *tables(result),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def verdict(text: str) -> str:
    """The verdict, and its reasons as a list."""
    line, *notes = text.split("\n  ")
    items = "".join(f"<li>{escape(each)}</li>" for each in notes)
    return f"{escape(line)}<ul>{items}</ul>" if notes else escape(line)


def series(samples: Iterable[dict[str, Any]], field: str, name: str, factor: float = 1.0) -> Series:
    """One field of the samples over time."""
    return Series(name, [(each["at"], each[field] * factor) for each in samples if each.get(field) is not None])


def p99_by_kind(result: dict[str, Any]) -> list[Series]:
    """The 99th percentile of every kind of request that has one; of many, of those nearest to their bounds."""
    rows = [each for each in result["requests"] if each["max_p99"] is not None and each["p99"] is not None]
    rows = sorted(rows, key=lambda each: each["p99"] / each["max_p99"], reverse=True)[:MOST_LINES]
    return [
        Series(
            row["label"],
            [
                (sample["at"], each["p99"] * 1000)
                for sample in result["samples"]
                for each in sample["kinds"]
                if each["p99"] is not None and is_same(each, row)
            ],
        )
        for row in rows
    ]


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two rows are of the same kind of request."""
    return all(one[name] == other[name] for name in Kind._fields)


def plots(result: dict[str, Any]) -> list[str]:
    """Every plot, under its heading, all with the same time axis."""
    samples = result["samples"]
    bound = result["bounds"]["p99"]["default"] * 1000
    kinds = p99_by_kind(result)
    by_kind = section("p99 by kind of request", line_plot("p99 over time, by kind of request", "ms", kinds, bound))
    latencies = [series(samples, f"p{part}", f"{part} % of the requests", 1000) for part in (50, 95, 99)]
    parts = [
        section("Response times", line_plot("Response times over time", "ms", latencies, bound)),
        *([by_kind] if len(kinds) > 1 else []),
        section("Throughput", line_plot("Requests in a second", "req/s", [series(samples, "rate", "requests")])),
        section("Users", line_plot("Users over time", "users", [series(samples, "users", "users")])),
        section("Errors", line_plot("Failed requests", "failures", [series(samples, "failures", "failures")])),
    ]
    if any("server_lag" in each for each in samples):
        flight = [series(samples, "server_in_flight", "in flight"), series(samples, "server_queued", "queued")]
        sockets = [
            series(samples, "server_connections", "connections"),
            series(samples, "server_websockets", "WebSockets"),
        ]
        lag = [series(samples, "server_lag", "longest lag", 1000)]
        memory = [series(samples, "server_memory", "resident", 2**-20)]
        parts += [
            section("Requests in flight, in the server", line_plot("Requests in the server", "requests", flight)),
            section("Connections, in the server", line_plot("Open connections", "connections", sockets)),
            section("Hub lag, in the server", line_plot("How late the hub was", "ms", lag)),
            section("Memory of the server", line_plot("Resident memory", "MiB", memory)),
        ]
    return parts


def section(heading: str, content: str) -> str:
    """A heading and what belongs to it."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{content}\n</section>"


def tables(result: dict[str, Any]) -> list[str]:
    """What blocked the hub and when, requests by name, errors, the search for the knee, and the samples themselves."""
    parts = []
    if result["server"] is not None:
        rows = [
            [
                f"{each['file']}:{each['line']} in {each['function']}",
                each["count"],
                ms(each["longest"]),
                ms(each["total"]),
            ]
            for each in result["blockers"][:20]
        ]
        none = "<p>Nothing blocked the hub for 20 ms or longer.</p>"
        found = table(["Line", "Times", "Longest, ms", "Sum, ms"], rows) if rows else none
        parts.append(section("Top blockers of the hub", found))
        rows = [[f"{each['at']:.0f} s", ms(each["server_lag"]), each["server_blocker"]] for each in blocked(result)]
        if rows:
            parts.append(section("When the hub was blocked", table(["After", "Lag, ms", "By"], rows)))
    if result["knee"]:
        rows = [
            [each["users"], f"{each['rate']:.0f}", ms(each["p99"]), f"{each['error_ratio']:.2%}", *each["broken"][:1]]
            for each in result["knee"]
        ]
        names = ["Users", "Requests/s", "p99, ms", "Errors", "Over a bound"]
        parts.append(section("The search for the knee", table(names, rows)))
    parts.append(section("Requests", requests_table(result)))
    if result["errors"]:
        rows = [[f"{each['method']} {each['name']}: {each['error']}", each["count"]] for each in result["errors"]]
        parts.append(section("Failures", table(["What", "Times"], rows)))
    samples = [flat(each) for each in result["samples"]]
    names = list(dict.fromkeys(name for each in samples for name in each))
    rows = [["" if each.get(name) is None else each[name] for name in names] for each in samples]
    parts.append(f"<details>\n<summary>The figures of the plots</summary>\n{table(names, rows)}\n</details>")
    return parts


def requests_table(result: dict[str, Any]) -> str:
    """What was counted of every kind, with its bound."""
    names = ["Users", "Request", "Requests", "Failures", "p50, ms", "p99, ms", "Bound, ms", "Longest, ms"]
    rows = [
        [
            each["user"],
            f"{each['method']} {each['name']}",
            each["requests"],
            Cell(each["failures"], each["failures"] > each["max_errors"] * each["requests"]),
            ms(each["p50"]),
            Cell(ms(each["p99"]), None not in (each["p99"], each["max_p99"]) and each["p99"] > each["max_p99"]),
            ms(each["max_p99"]),
            ms(each["longest"]),
        ]
        for each in result["requests"]
    ]
    intervals = any(each["method"] == INTERVAL for each in result["requests"])
    note = "<p>INTERVAL: times between messages that do not say when they were sent, which are no response times.</p>"
    return table(names, rows) + (note if intervals else "")


class Cell(NamedTuple):
    """A figure of a table, and whether it is over its bound."""

    text: object
    is_over: bool

    def __str__(self) -> str:
        return str(self.text)


def blocked(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The samples in which a line blocked the hub."""
    return [each for each in result["samples"] if each.get("server_blocker")]


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table. Columns with anything but figures are set as text."""
    rows = [[*row, *[""] * (len(names) - len(row))] for row in rows]
    classes = [column_class([str(row[index]) for row in rows]) for index in range(len(names))]
    head = "".join(f'<th scope="col"{look}>{escape(name)}</th>' for name, look in zip(names, classes, strict=True))
    body = "".join("<tr>" + "".join(map(td, row, classes)) + "</tr>\n" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def column_class(cells: Sequence[str]) -> str:
    """How a column of a table is set: figures, words, or words that are broken where they do not fit."""
    if all(map(FIGURE.fullmatch, cells)):
        return ""
    return ' class="text long"' if max(map(len, cells)) > LONG else ' class="text"'


def td(cell: object, look: str) -> str:
    """A cell of a table."""
    look = ' class="over"' if isinstance(cell, Cell) and cell.is_over else look
    return f"<td{look}>{escape(str(cell))}</td>"


def ms(seconds: float | None) -> str:
    """A time in milliseconds."""
    return "" if seconds is None else f"{seconds * 1000:.1f}"
