"""The committed counts, for each environment that they were made in, and how new ones are held against them.

Another Python, gevent, compiler, Cython or valgrind makes other counts, and so does a processor without AVX2, for which
the C library chooses other functions. Counts are compared with those of the same environment only.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
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


def read_baseline(environment: Environment, path: Path = BASELINE) -> dict[str, int] | None:
    """Give the committed counts of an environment, or None."""
    for entry in read_entries(path):
        if entry["environment"] == environment:
            return dict(entry["instructions"])
    return None


def read_entries(path: Path) -> list[dict[str, Any]]:
    """Read the file; it has an entry for each environment."""
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return entries


def write_baseline(environment: Environment, counts: Counts, path: Path = BASELINE) -> None:
    """Replace the counts of an environment, or add them."""
    kept = [entry for entry in read_entries(path) if entry["environment"] != environment]
    path.write_text(json.dumps([*kept, {"environment": environment, "instructions": counts}], indent=2) + "\n")


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
    """A trace's instructions `before` and `now`; `before` is None where nothing is known of it."""

    trace: str
    before: int | None
    now: int

    @property
    def passed(self) -> bool:
        """Whether the count is known and has grown by no more than is allowed."""
        return self.before is not None and self.now * 100 <= self.before * (100 + GROWTH_PERCENT)

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.trace}: {self.now:,} instructions, but the baseline has no such trace: FAILED"
        growth = self.now / self.before - 1
        verdict = "ok" if self.passed else f"FAILED: more than {GROWTH_PERCENT} %"
        return f"{self.trace}: {self.now:,} instructions, {growth:+.2%} against {self.before:,}: {verdict}"


def compare(before: Counts, now: Counts) -> list[Comparison]:
    """Hold new counts against old ones."""
    return [Comparison(trace, before.get(trace), count) for trace, count in now.items()]
