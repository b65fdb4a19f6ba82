"""The block of README.rst that quotes the measurements: written from the same data files as the report, never by hand.

Neither PyPI nor GitHub renders `include`, so the text stands between two comments. `python -m loadtests.bench.readme`
writes it anew; `make compare` does that at its end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
README: Final = ROOT / "README.rst"
# The second is of before one run measured everything; where the first has its cases, they count.
DATA: Final = (ROOT / "docs" / "benchmarks.json", ROOT / "docs" / "benchmarks-websocket" / "benchmarks.json")
BEGIN: Final = ".. benchmarks: begin (written by python -m loadtests.bench.readme; do not edit)\n"
END: Final = ".. benchmarks: end\n"
TABLE: Final = (
    ("hello", "Hello, req/s"), ("hello-browser", "to a browser"), ("flask-json", "Flask JSON"), ("flask", "Flask"),
    ("io-1000", "waiting 50 ms, 1,000 at once"), ("postgres", "PostgreSQL"), ("mixed", "among slow clients"),
)  # fmt: skip
FAILED: Final = "failed"  # a round: it dropped requests, or did not come so far
OURS: Final = ("hublet", "hublet 2 workers", "gunicorn hublet", "hublet callback", "hublet blocking", "hublet tls")

Cases = dict[str, Any]


def read_cases(paths: tuple[Path, ...] = DATA) -> Cases:
    """Read the cases of the data files; the first file that has a case counts."""
    cases: Cases = {}
    for path in reversed(paths):
        if path.exists():
            cases |= json.loads(path.read_text())["cases"]
    return cases


def write_block(cases: Cases) -> str:
    """Write the block: a table of the cases of requests in a second, and a line for each other case."""
    shown = [(name, heading) for name, heading in TABLE if name in cases and cases[name]["servers"]]
    rest = [case for name, case in cases.items() if name not in dict(TABLE)]
    parts = [figures_table(cases, shown)] if shown else []
    parts += ['Elsewhere, as a ratio of medians ("2.00 x" is twice as good as the best of the others):']
    parts += ["\n".join(line for case in rest if (line := ratio_line(case)))]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def figures_table(cases: Cases, shown: list[tuple[str, str]]) -> str:
    """Write the simple table, by the first case's order."""
    servers = dict.fromkeys(name for case, _ in shown for name in cases[case]["servers"])
    ordered = sorted(servers, key=lambda server: -rate_of(cases[shown[0][0]], server))
    rows = [("Server", *(heading for _, heading in shown))]
    rows += [(f"**{s}**" if s in OURS else s, *(cell(cases[case], s) for case, _ in shown)) for s in ordered]
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
    """Write how hublet stands to the best of the others, or None where there is nothing to compare."""
    better = max if case["more_is_better"] else min
    ranked = {name: e["summary"][case["primary"]] for name, e in case["servers"].items() if is_ranked(e)}
    ours = {name: figure for name, figure in ranked.items() if name in OURS}
    others = {name: figure for name, figure in ranked.items() if name not in OURS}
    if not ours or not others:
        return None
    mine, best = better(ours, key=ours.__getitem__), better(others, key=others.__getitem__)
    above, below = (ours[mine], others[best]) if case["more_is_better"] else (others[best], ours[mine])
    return f"- {case['title']}: {above / below:.2f} x ({best})" if below else None


def with_block(readme: str, block: str) -> str:
    """Put the block between its comments. Raises ValueError where they are not there."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.rst has no {BEGIN.strip()!r} and {END.strip()!r}")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def update_readme(readme: Path = README, data: tuple[Path, ...] = DATA) -> None:
    """Write the block anew."""
    readme.write_text(with_block(readme.read_text(encoding="utf-8"), write_block(read_cases(data))), encoding="utf-8")


if __name__ == "__main__":
    update_readme()
