"""The committed counts, for each environment that they were made in, and how new ones are held against them.

Another Python, gevent, compiler, Cython or valgrind makes other counts, and so does a processor without AVX2, for which
the C library chooses other functions. Counts are compared with those of the same environment only.

Each entry keeps all its records, and new counts are judged by the least since a growth was last accepted, with a
reason: recording again and again does not let small growths add up to a large one.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from hublet.servers.http1 import connection

from ..bench.servers.server import program

BASELINE: Final = Path(__file__).with_name("baseline.json")
# More than this is a regression. Two runs of the same source differ by less than half a percent.
GROWTH_PERCENT: Final = 3
COMPILED_BY: Final = re.compile(rb"(?:GCC: \([^)\0]*\) [\d.]+|clang version [\d.]+)")
WRITTEN_BY: Final = re.compile(rb"_cython_(\d+_\d+_\w+)")

Counts = Mapping[str, int]
Environment = Mapping[str, str]
Entry = dict[str, Any]


def describe_environment() -> dict[str, str]:
    """Name what the counts depend on beside hublet's own source."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()})",
        "gevent": metadata.version("gevent"),
        "greenlet": metadata.version("greenlet"),
        "gevent-websocket": metadata.version("gevent-websocket"),
        "compiler": core_compiler(Path(connection.__file__)),
        "cython": core_cython(Path(connection.__file__)),
        "libc": " ".join(platform.libc_ver()),
        "processor": f"{platform.machine()}, {'with' if has_avx2() else 'without'} AVX2",
        "valgrind": program("valgrind", "--version")() or "not installed",
    }


def core_compiler(module: Path) -> str:
    """Read the compiler of a compiled module from its `.comment` section."""
    found = COMPILED_BY.search(module.read_bytes())
    return found.group().decode() if found else "unknown"


def core_cython(module: Path) -> str:
    """Read the Cython of a compiled module from the name that it gives to what its modules share."""
    found = WRITTEN_BY.search(module.read_bytes())
    return found.group(1).decode().replace("_", ".") if found else "unknown"


def has_avx2() -> bool:
    """Tell whether the processor has AVX2, the newest set of instructions that valgrind passes on."""
    return re.search(r"\bavx2\b", Path("/proc/cpuinfo").read_text()) is not None


def read_entries(path: Path = BASELINE) -> list[Entry]:
    """Read the file; it has an entry for each environment, the one that was recorded last at its end."""
    if not path.exists():
        return []
    entries: list[Entry] = json.loads(path.read_text())
    return entries


def entry_of(environment: Environment, path: Path = BASELINE) -> Entry | None:
    """Give the entry of an environment, or None."""
    return next((entry for entry in read_entries(path) if entry["environment"] == environment), None)


def reference_of(entry: Entry) -> dict[str, int]:
    """Give the least count of each trace since a growth was accepted, or since the first record."""
    records = entry["records"]
    accepted = [number for number, record in enumerate(records) if "accepted" in record]
    reference: dict[str, int] = {}
    for record in records[accepted[-1] if accepted else 0 :]:
        for trace, count in record["instructions"].items():
            reference[trace] = min(count, reference.get(trace, count))
    return reference


def without_recorded_growth(counts: Counts, entry: Entry) -> dict[str, int]:
    """Take off counts of the last record's revision what it has grown by since the reference, as another saw it."""
    reference, last = reference_of(entry), entry["records"][-1]["instructions"]
    known = {trace: reference[trace] / last[trace] for trace in last}
    return {trace: round(count * known.get(trace, 1)) for trace, count in counts.items()}


def record_counts(environment: Environment, counts: Counts, accepted: str = "", path: Path = BASELINE) -> None:
    """Add a record to those of an environment; with what was `accepted`, it is what later ones are judged by."""
    entry = entry_of(environment, path) or {"environment": environment, "records": []}
    record = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "instructions": counts}
    if accepted:
        record["accepted"] = accepted
    entry["records"].append(record)
    kept = [other for other in read_entries(path) if other["environment"] != environment]
    path.write_text(json.dumps([*kept, entry], indent=2) + "\n")


def differences(environment: Environment, path: Path = BASELINE) -> list[str]:
    """Say in what this environment differs from each of the file."""
    return [
        "; ".join(
            f"{name} {entry['environment'].get(name)} there, {value} here"
            for name, value in environment.items()
            if entry["environment"].get(name) != value
        )
        for entry in read_entries(path)
    ]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A trace's instructions `before` and `now`; None where nothing is known of it, or where it is gone."""

    trace: str
    before: int | None
    now: int | None

    @property
    def passed(self) -> bool:
        """Whether the count is known, and has grown by no more than is allowed."""
        if self.before is None or self.now is None:
            return False
        return self.now * 100 <= self.before * (100 + GROWTH_PERCENT)

    def __str__(self) -> str:
        if self.now is None:
            return f"{self.trace}: no longer measured, {self.before:,} instructions before: FAILED"
        if self.before is None:
            return f"{self.trace}: {self.now:,} instructions, but the baseline has no such trace: FAILED"
        growth = self.now / self.before - 1
        verdict = "ok" if self.passed else f"FAILED: more than {GROWTH_PERCENT} %"
        return f"{self.trace}: {self.now:,} instructions, {growth:+.2%} against {self.before:,}: {verdict}"


def compare(before: Counts, now: Counts) -> list[Comparison]:
    """Hold new counts against old ones, of every trace that either has."""
    return [Comparison(trace, before.get(trace), now.get(trace)) for trace in dict.fromkeys([*now, *before])]
