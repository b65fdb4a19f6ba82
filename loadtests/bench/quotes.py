"""The blocks of README.rst and docs/patches.rst that quote the measurements, written from the report's data file.

Neither PyPI nor GitHub renders `include`, so each stands between two comments. `python -m loadtests.bench.quotes`
writes them anew; `make compare` does that at its end.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
README: Final = ROOT / "README.rst"
PATCHES: Final = ROOT / "docs" / "patches.rst"
DATA: Final = ROOT / "docs" / "benchmarks.json"
BEGIN: Final = ".. benchmarks: begin (written by python -m loadtests.bench.quotes; do not edit)\n"
END: Final = ".. benchmarks: end\n"
TABLE: Final = (
    ("hello", "Hello, req/s"), ("hello-browser", "to a browser"), ("flask-json", "Flask JSON"),
    ("io-1000", "waiting 50 ms, 1,000 at once"), ("postgres", "PostgreSQL"), ("mixed", "among slow clients"),
)  # fmt: skip
FAILED: Final = "failed"  # a round: it dropped requests, or did not come so far
OURS: Final = (
    "hublet", "hublet 2 workers", "gunicorn hublet", "hublet callback", "hublet blocking", "hublet tls",
    "hublet.offload",
)  # fmt: skip
COSTS: Final = "library-costs"
STALLS: Final = "library-stalls"
POOLS: Final = "offloading"
COST_HEADINGS: Final = (
    "Library", "plain Python, us", "gevent, us", "hublet, us", "hublet, 20 at once, us", "stall, gevent, ms",
    "stall, hublet, ms",
)  # fmt: skip
WIDTH: Final = 120

Cases = dict[str, Any]


def read_cases(path: Path = DATA) -> Cases:
    """Read the cases of the data file."""
    cases: Cases = json.loads(path.read_text())["cases"]
    return cases


def write_block(cases: Cases) -> str:
    """Write the block: where hublet is not first, a table of requests in a second, and a line for each other case."""
    shown = [(name, heading) for name, heading in TABLE if name in cases and cases[name]["servers"]]
    rest = [case for name, case in cases.items() if name not in dict(TABLE)]
    parts = [losses(cases)]
    parts += [figures_table(cases, shown)] if shown else []
    parts += ['Elsewhere, as a ratio of medians ("2.00 x" is twice as good as the best of the others):']
    lines = [ratio_line(case) for case in rest] + [library_line(cases)]
    parts += ["\n".join(line for line in lines if line)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def losses(cases: Cases) -> str:
    """Say in which cases hublet is not first, or was not ranked."""
    found = []
    for case in cases.values():
        styles = ratios(case)
        behind = [f"{style_of(name, len(styles))}{times:.2f} x {best}" for name, times, best in styles if times < 1]
        failed = [f"{name} failed" for name, entry in case["servers"].items() if name in OURS and entry["failures"]]
        if behind or failed:
            found.append(f"{case['title']} ({', '.join([*behind, *failed])})")
    if not found:
        return "hublet is first in every case."
    return textwrap.fill(f"**Not first:** {'; '.join(found)}.", WIDTH, break_long_words=False, break_on_hyphens=False)


def style_of(name: str, count: int) -> str:
    """Name one of ours, where there are several in a case."""
    return f"{name.removeprefix('hublet ')} " if count > 1 else ""


def others(case: Any) -> dict[str, float]:
    """Give the figures of the servers that are not ours, and ranked."""
    return {
        name: float(entry["summary"][case["primary"]])
        for name, entry in case["servers"].items()
        if is_ranked(entry) and name not in OURS
    }


def ratios(case: Any) -> list[tuple[str, float, str]]:
    """Give each of ours that is ranked with its ratio to the best of the others, which is named."""
    figures = others(case)
    if not figures:
        return []
    best = (max if case["more_is_better"] else min)(figures, key=figures.__getitem__)
    found = []
    for name, entry in case["servers"].items():
        if name in OURS and is_ranked(entry):
            figure = float(entry["summary"][case["primary"]])
            above, below = (figure, figures[best]) if case["more_is_better"] else (figures[best], figure)
            if below:
                found.append((name, above / below, best))
    return found


def figures_table(cases: Cases, shown: list[tuple[str, str]]) -> str:
    """Write the simple table, by the first case's order."""
    servers = dict.fromkeys(name for case, _ in shown for name in cases[case]["servers"])
    ordered = sorted(servers, key=lambda server: -rate_of(cases[shown[0][0]], server))
    rows = [("Server", *(heading for _, heading in shown))]
    rows += [(f"**{s}**" if s in OURS else s, *(cell(cases[case], s) for case, _ in shown)) for s in ordered]
    return simple_table(rows)


def simple_table(rows: Sequence[Sequence[str]]) -> str:
    """Write a simple table of reStructuredText; the first row has the headings."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def is_ranked(entry: Any) -> bool:
    """Tell whether a server has figures and dropped nothing."""
    return bool(entry and entry["summary"] and not entry["failures"])


def rate_of(case: Any, server: str) -> float:
    """Give a server's requests in a second for the order of rows."""
    entry = case["servers"].get(server)
    return float(entry["summary"][case["primary"]]) if is_ranked(entry) else 0.0


def cell(case: Any, server: str) -> str:
    """Write a server's requests in a second, or that a round of it failed."""
    entry = case["servers"].get(server)
    if not entry:
        return "\\-"
    return f"{entry['summary'][case['primary']]:,.0f}" if is_ranked(entry) else FAILED


def ratio_line(case: Any) -> str | None:
    """Write how hublet, or each style of it, stands to the best of the others; None where nothing can be compared."""
    found = ratios(case)
    if not found:
        return None
    best = found[0][2]
    styles = ", ".join(f"{style_of(name, len(found))}{times:.2f} x" for name, times, _ in found)
    return f"- {case['title']}: {styles} ({best})"


def library_line(cases: Cases) -> str | None:
    """Write what patched libraries cost, and for how long they stop the hub."""
    found = []
    costs = {name: e["summary"]["times"] for name, e in entries(cases, COSTS)}
    if costs:
        least, most = min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)
        found.append(
            f"a small operation takes {costs[least]:.2f} x ({least}) to {costs[most]:.2f} x ({most}) as long as in "
            "plain Python"
        )
    stalls = {name: e["summary"] for name, e in entries(cases, STALLS)}
    if stalls:
        ours, theirs = (max(each[f"{way}_stall_ms"] for each in stalls.values()) for way in ("hublet", "gevent"))
        found.append(f"20 that wait stop the others for at most {ours:,.0f} ms, with gevent alone for {theirs:,.0f} ms")
    text = f"- Patched libraries: {'; '.join(found)}"
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False) if found else None


def write_costs(cases: Cases) -> str:
    """Write the block of docs/patches.rst: a row for each library, and what a call on a native thread costs."""
    stalls = {name: entry["summary"] for name, entry in entries(cases, STALLS)}
    rows: list[tuple[str, ...]] = [COST_HEADINGS]
    for name, entry in entries(cases, COSTS):
        figures = [f"{entry['summary'][each]:,.1f}" for each in ("plain_us", "gevent_us", "hublet_us", "at_once_us")]
        waits = [f"{stalls[name][f'{way}_stall_ms']:,.0f}" if name in stalls else "\\-" for way in ("gevent", "hublet")]
        rows.append((name, *figures, *waits))
    if len(rows) == 1:
        return "``make compare`` has not measured them yet.\n"
    calls = {name: entry["summary"] for name, entry in entries(cases, POOLS)}
    offloaded = [
        f"{name}: {found['alone_us']:.1f} us in sequence, {found['at_once_us']:.1f} us each at once"
        for name, found in calls.items()
    ]
    text = textwrap.fill(f"A call on a native thread: {'; '.join(offloaded)}.", WIDTH) if offloaded else ""
    return f"{simple_table(rows)}\n\n{text}".rstrip() + "\n"


def entries(cases: Cases, name: str) -> list[tuple[str, Any]]:
    """Give the rows of a case that are ranked."""
    return [(row, entry) for row, entry in cases.get(name, {"servers": {}})["servers"].items() if is_ranked(entry)]


DOCUMENTS: Final[Mapping[Path, Callable[[Cases], str]]] = {README: write_block, PATCHES: write_costs}


def with_block(document: str, block: str) -> str:
    """Put the block between its comments. Raises ValueError where they are not there."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN.strip()!r} and {END.strip()!r}: the block stands between them")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def update_documents(data: Path = DATA, documents: Mapping[Path, Callable[[Cases], str]] = DOCUMENTS) -> None:
    """Write the block of each document anew."""
    cases = read_cases(data)
    for path, write in documents.items():
        path.write_text(with_block(path.read_text(encoding="utf-8"), write(cases)), encoding="utf-8")


if __name__ == "__main__":
    update_documents()
