"""What every fuzz target does: try inputs, make those smaller that break an invariant, keep them, report them.

The same seed tries the same inputs in the same order, so that even a crash of the interpreter can be had again. The
first input that breaks an invariant is made smaller, written to the target's folder and reported by the exit status;
the target's tests try it from then on.
"""

from __future__ import annotations

import argparse
import hashlib
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.corpus import escape, unescape

Check = Callable[[bytes, Random], object]
# Makes up an input, and names the check that it is for.
Propose = Callable[[Random], tuple[str, bytes]]


@dataclass(frozen=True)
class Finding:
    """Bytes that break an invariant. `problem` is the assertion's text, `check` the name of the check."""

    check: str
    data: bytes
    problem: str

    @property
    def invariant(self) -> str:
        """The part of the problem that does not depend on the data: the exception and the invariant's name."""
        return ":".join(self.problem.split(":")[:2])


@dataclass
class Report:
    """What a run did: how many inputs it tried, and what it found."""

    tried: int
    findings: list[Finding]


def problem_of(check: Check, data: bytes, seed: int) -> str:
    """Return what is wrong with `data`, or nothing. The checks' own choices follow from `seed`."""
    try:
        check(data, Random(seed))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def shrink(check: Check, data: bytes, seed: int) -> bytes:
    """Remove what can be removed from `data` while something remains wrong with it."""
    size = len(data) // 2
    while size:
        start = 0
        while start < len(data):
            shorter = data[:start] + data[start + size :]
            if problem_of(check, shorter, seed):
                data = shorter
            else:
                start += size
        size //= 2
    return data


def explore(seconds: float, random: Random, propose: Propose, checks: Mapping[str, Check]) -> Report:
    """Try inputs for `seconds`; report the first that breaks each invariant."""
    found: dict[str, Finding] = {}
    tried = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name, data = propose(random)
        choices = random.randrange(2**32)
        tried += 1
        finding = Finding(name, data, problem_of(checks[name], data, choices))
        if finding.problem and finding.invariant not in found:
            data = shrink(checks[name], data, choices)
            found[finding.invariant] = Finding(name, data, problem_of(checks[name], data, choices))
    return Report(tried, list(found.values()))


def write_finding(finding: Finding, folder: Path) -> Path:
    """Write a finding in the corpus' notation, for somebody to explain, and return the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{finding.check}-{hashlib.sha256(finding.data).hexdigest()[:12]}.toml"
    problem = escape(finding.problem.encode("utf-8")[:500])
    path.write_text(
        f"check = '{finding.check}'\nproblem = '''\n{problem}'''\nrequest = '''\n{escape(finding.data)}'''\n",
        encoding="ascii",
    )
    return path


def read_findings(folder: Path) -> list[Finding]:
    """Read every finding that has been written and not yet turned into a case."""
    contents = [tomllib.loads(path.read_text(encoding="ascii")) for path in sorted(folder.glob("*.toml"))]
    return [Finding(each["check"], unescape(each["request"]), each["problem"]) for each in contents]


def command(
    module: str, summary: str, run: Callable[[float, int], Report], folder: Path, arguments: list[str] | None
) -> int:
    """Run a target from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=summary)
    parser.add_argument("--seconds", type=float, default=60, help="how long to try inputs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="which inputs (default: new ones)")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}, {options.seconds:g} s", flush=True)
    report = run(options.seconds, options.seed)
    for finding in report.findings:
        print(f"{write_finding(finding, folder)}: {finding.problem}")
    print(f"{report.tried} inputs, {len(report.findings)} findings")
    return 1 if report.findings else 0
