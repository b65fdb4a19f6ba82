"""Whether the application held, and what broke first."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

# A generator that uses so much of its one processor measures itself. It says so if it does for such a part of the time.
GENERATOR_FULL: Final = 0.9
GENERATOR_FULL_PART: Final = 0.1
# Users begin at any time within a second, and samples are a second apart.
SILENCE_MARGIN: Final = 1.0
# A hub that is so late explains response times.
LAG_MATTERS: Final = 0.1


@dataclass(slots=True)
class Verdict:
    """`held`, one line that says so, and further lines with reasons."""

    held: bool
    line: str
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join([self.line, *(f"  {each}" for each in self.notes)])


def judge(
    total: dict[str, Any],
    samples: list[dict[str, Any]],
    max_p99: float,
    max_errors: float,
    max_silence: float = math.inf,
) -> Verdict:
    """The verdict on a planned shape: the bounds hold for all its requests together.

    Users who wait make no requests, so a server that stops answering hardly changes the percentiles. Therefore nobody
    may be left without an answer at the end, and there must not be longer than `max_silence` without any response.
    """
    if not total["requests"]:
        return Verdict(False, "no verdict: not one request was made")
    errors = total["failures"] / total["requests"]
    facts = (
        f"{total['requests']} requests, {total['rate']:.0f} a second, p50 {milliseconds(total['p50'])}, "
        f"p99 {milliseconds(total['p99'])}, {errors:.2%} errors"
    )
    broken = []
    if total["p99"] > max_p99:
        broken.append(f"p99 {milliseconds(total['p99'])} is over {milliseconds(max_p99)}")
    if errors > max_errors:
        broken.append(f"{errors:.2%} errors are over {max_errors:.2%}")
    lost = total.get("unanswered", 0)
    if lost > max_errors * max((each["users"] for each in samples), default=0):
        broken.append(f"{lost} users had no answer until the test was over")
    silent, since = longest_silence(samples)
    if silent > max_silence + SILENCE_MARGIN:
        broken.append(f"no response at all for {silent:.0f} s, after {since:.0f} s")
    verdict = Verdict(not broken, f"{'did not hold' if broken else 'held'}: {facts}", broken)
    for sample in samples:
        bad = sample["requests"] and sample["failures"] / sample["requests"] > max_errors
        if bad or sample["p99"] > max_p99:
            what = "errors" if bad else f"a p99 of {milliseconds(sample['p99'])}"
            first = "first" if broken else "over the bounds in places, first"
            verdict.notes.append(f"{first}: {what} after {sample['at']:.0f} s, with {sample['users']} users")
            break
    return verdict


def longest_silence(samples: list[dict[str, Any]]) -> tuple[float, float]:
    """For how many seconds there was no response while there were users, at the most, and after what time."""
    longest, since, last = 0.0, 0.0, 0.0
    for sample in samples:
        if sample["requests"] or not sample["users"]:
            last = sample["at"]
        elif sample["at"] - last > longest:
            longest, since = sample["at"] - last, last
    return longest, since


def judge_knee(knee: Any, finished: bool) -> Verdict:
    """The verdict of the search for the limit."""
    good, bad = knee.good, knee.bad
    if good is None:
        reason = "" if bad is None else f": {describe_point(bad)}"
        return Verdict(False, f"no good point: not even {1 if bad is None else bad.users} user held{reason}")
    verdict = Verdict(True, f"last good point: {describe_point(good)}")
    if bad is not None:
        verdict.notes.append(f"first bad point: {describe_point(bad)}")
    elif finished:
        verdict.notes.append(f"the limit was not reached: allow more than {good.users} users")
    if not finished:
        verdict.notes.append("the time was up before the limit was known to 10 %: allow more time")
    return verdict


def describe_point(point: Any) -> str:
    """One point in words."""
    return (
        f"{point.users} users, {point.rate:.0f} requests a second, p99 {milliseconds(point.p99)}, "
        f"{point.error_ratio:.2%} errors"
    )


def explain(verdict: Verdict, samples: list[dict[str, Any]], blockers: list[dict[str, Any]]) -> None:
    """Add what the server's side and the generator's side say."""
    cpu = [each["generator_cpu"] for each in samples]
    if cpu and sum(each > GENERATOR_FULL for each in cpu) > GENERATOR_FULL_PART * len(cpu):
        verdict.notes.append(
            "the load generator used all of its processor at times: the figures are its own; "
            "add --worker processes, or use wrk"
        )
    late = max(samples, key=lambda each: each.get("server_lag", 0.0), default={})
    if late.get("server_lag", 0.0) >= LAG_MATTERS:
        verdict.notes.append(f"the hub was late by up to {milliseconds(late['server_lag'])}, after {late['at']:.0f} s")
    for each in blockers[:3]:
        verdict.notes.append(
            f"{each['file']}:{each['line']} in {each['function']} blocked the hub {each['count']} times, "
            f"{milliseconds(each['longest'])} at the most, {each['total']:.2f} s in all"
        )


def milliseconds(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
