"""Fuzz the head parser and the chunked decoder: `python -m tests.fuzz.heads --seconds 60 --seed 7`.

Mutates the corpus and checks the invariants. The same seed tries the same inputs in the same order, so that even a
crash of the interpreter can be had again. The first input that breaks an invariant is made smaller, written to
tests/corpus/found/ and reported by the exit status; tests/fuzz/test_heads.py tries it from then on.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.corpus import FOUND, escape, load, unescape
from tests.fuzz.invariants import check_chunked, check_head
from tests.fuzz.mutation import mutate, splice
from tests.servers.http1.verdicts import Accepted, read_head

Check = Callable[[bytes, Random], object]

# Longer cases cost time, and what is special about them is their length.
LONGEST_SEED = 1000


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


def check_message(data: bytes, random: Random) -> None:
    """Check a head and, if it announces one, the chunked body behind it."""
    verdict = check_head(data, random)
    if isinstance(verdict, Accepted) and verdict.chunked:
        check_chunked(data[verdict.size :], random)


CHECKS: dict[str, Check] = {"message": check_message, "chunked": check_chunked}


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


def run(seconds: float, seed: int) -> Report:
    """Try inputs for `seconds`; report the first that breaks each invariant."""
    random = Random(seed)
    requests = [case.request for case in load() if len(case.request) <= LONGEST_SEED]
    heads = [(data, read_head(data)) for data in requests]
    bodies = [data[head.size :] for data, head in heads if isinstance(head, Accepted) and head.chunked]
    found: dict[str, Finding] = {}
    tried = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = "message" if random.randrange(4) else "chunked"
        seeds = requests if name == "message" else bodies
        data = splice(seeds, random) if random.randrange(4) == 0 else random.choice(seeds)
        data = mutate(data, random)
        choices = random.randrange(2**32)
        tried += 1
        finding = Finding(name, data, problem_of(CHECKS[name], data, choices))
        if finding.problem and finding.invariant not in found:
            data = shrink(CHECKS[name], data, choices)
            found[finding.invariant] = Finding(name, data, problem_of(CHECKS[name], data, choices))
    return Report(tried, list(found.values()))


def write_finding(finding: Finding, folder: Path = FOUND) -> Path:
    """Write a finding in the corpus' notation, for somebody to explain, and return the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{finding.check}-{hashlib.sha256(finding.data).hexdigest()[:12]}.toml"
    problem = escape(finding.problem.encode("utf-8")[:500])
    path.write_text(
        f"check = '{finding.check}'\nproblem = '''\n{problem}'''\nrequest = '''\n{escape(finding.data)}'''\n",
        encoding="ascii",
    )
    return path


def read_findings(folder: Path = FOUND) -> list[Finding]:
    """Read every finding that has been written and not yet turned into a case."""
    contents = [tomllib.loads(path.read_text(encoding="ascii")) for path in sorted(folder.glob("*.toml"))]
    return [Finding(each["check"], unescape(each["request"]), each["problem"]) for each in contents]


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.heads", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long to try inputs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="which inputs (default: new ones)")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}, {options.seconds:g} s", flush=True)
    report = run(options.seconds, options.seed)
    for finding in report.findings:
        print(f"{write_finding(finding)}: {finding.problem}")
    print(f"{report.tried} inputs, {len(report.findings)} findings")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
