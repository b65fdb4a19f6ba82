"""Runs wrk and reads what it prints, strictly: a line that is not known is an error, never skipped.

wrk prints latencies rounded and from a histogram, so they are approximate; its Requests/sec is exact.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .errors import RoundFailed

PROGRAM: Final = "wrk"
MISSING: Final = "wrk is not installed; on Debian and Ubuntu: apt-get install wrk"
# wrk stops by itself; this is for a wrk that hangs on a server that does.
GRACE_SECONDS: Final = 30
# wrk calls an answer after 2 s an error unless told otherwise; that a server starves connections is shown by p99.
TIMEOUT_SECONDS: Final = 10


@dataclass(slots=True)
class WrkResult:
    """One run of wrk. Latencies are milliseconds; `percentiles` is keyed by the percentage as wrk prints it."""

    requests: int = 0
    rate: float = 0.0
    percentiles: dict[str, float] = field(default_factory=dict)
    socket_errors: dict[str, int] = field(default_factory=dict)
    bad_statuses: int = 0

    def errors(self) -> int:
        """Count what went wrong."""
        return sum(self.socket_errors.values()) + self.bad_statuses

    def failure(self) -> str | None:
        """Why this run must not be counted, or None."""
        if any(self.socket_errors.values()):
            shown = ", ".join(f"{kind} {count}" for kind, count in self.socket_errors.items())
            return f"socket errors: {shown}"
        if self.bad_statuses:
            return f"{self.bad_statuses} responses were not 2xx or 3xx"
        if not self.requests:
            return "no request was answered"
        return None


MILLISECONDS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}


def read_requests(result: WrkResult, match: re.Match[str]) -> None:
    """Read the number of requests that were answered."""
    result.requests = int(match[1])


def read_rate(result: WrkResult, match: re.Match[str]) -> None:
    """Read the requests in a second."""
    result.rate = float(match[1])


def read_percentile(result: WrkResult, match: re.Match[str]) -> None:
    """Read a line of the latency distribution."""
    result.percentiles[match[1]] = float(match[2]) * MILLISECONDS[match[3]]


def read_socket_errors(result: WrkResult, match: re.Match[str]) -> None:
    """Read the counts of connections that failed, by kind."""
    result.socket_errors = {kind: int(count) for kind, count in (part.split() for part in match[1].split(", "))}


def read_bad_statuses(result: WrkResult, match: re.Match[str]) -> None:
    """Read the number of responses with an error status."""
    result.bad_statuses = int(match[1])


def read_nothing(result: WrkResult, match: re.Match[str]) -> None:
    """For lines that carry no figure of interest."""


TIME: Final = r"[\d.]+(?:us|ms|s|m|h)"
COUNT: Final = r"[\d.]+[kMGTP]?"
SHARE: Final = r"(?:[\d.]+|-?nan)%"  # of no requests at all it is not a number
LINES: Final[tuple[tuple[re.Pattern[str], Callable[[WrkResult, re.Match[str]], None]], ...]] = tuple(
    (re.compile(pattern), reader)
    for pattern, reader in (
        (r"Running \S+ test @ \S+", read_nothing),
        (r"\s+\d+ threads and \d+ connections", read_nothing),
        (r"\s+Thread Stats\s+Avg\s+Stdev\s+Max\s+\+/- Stdev", read_nothing),
        (rf"\s+Latency(?:\s+{TIME}){{3}}\s+{SHARE}", read_nothing),
        (rf"\s+Req/Sec(?:\s+{COUNT}){{3}}\s+{SHARE}", read_nothing),
        (r"\s+Latency Distribution", read_nothing),
        (r"\s+(\d+)%\s+([\d.]+)(us|ms|s|m|h)", read_percentile),
        (r"\s+(\d+) requests in \S+, \S+ read", read_requests),
        (r"\s+Socket errors: (connect \d+, read \d+, write \d+, timeout \d+)", read_socket_errors),
        (r"\s+Non-2xx or 3xx responses: (\d+)", read_bad_statuses),
        (r"Requests/sec:\s+([\d.]+)", read_rate),
        (r"Transfer/sec:\s+\S+", read_nothing),
    )
)


def parse_wrk(output: str) -> WrkResult:
    """Read what `wrk --latency` prints. Raises RoundFailed for an unknown line and for missing figures."""
    result = WrkResult()
    seen = set()
    for line in filter(str.strip, output.splitlines()):
        for pattern, reader in LINES:
            match = pattern.fullmatch(line.rstrip())
            if match is not None:
                reader(result, match)
                seen.add(reader)
                break
        else:
            raise RoundFailed(f"wrk printed a line that is not known: {line!r}")
    if not {read_requests, read_rate, read_percentile} <= seen:
        raise RoundFailed(f"wrk printed no figures: {output!r}")
    return result


def is_installed() -> bool:
    """Tell whether wrk can be run."""
    return shutil.which(PROGRAM) is not None


def warm_up(url: str, connections: int, seconds: int, headers: Sequence[str] = ()) -> None:
    """Load `url` as `run_wrk` does, for no figures, and not at all if `seconds` is 0."""
    if seconds:
        run_wrk(url, connections, seconds, headers)


def run_wrk(url: str, connections: int, seconds: int, headers: Sequence[str] = ()) -> WrkResult:
    """Load `url` from one thread for `seconds`. Raises RoundFailed unless every single response was good."""
    command = [PROGRAM, "--latency", "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_SECONDS}s"]
    for header in headers:
        command += ["-H", header]
    try:
        run = subprocess.run(
            [*command, url], capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RoundFailed(f"wrk did not end within {error.timeout:g} s") from error
    if run.returncode:
        raise RoundFailed(f"wrk ended with status {run.returncode}: {run.stderr.strip() or run.stdout.strip()}")
    result = parse_wrk(run.stdout)
    failure = result.failure()
    if failure:
        answered = f"; {result.requests:,} were answered" if result.requests else ""
        raise RoundFailed(failure + answered, result.errors())
    return result
