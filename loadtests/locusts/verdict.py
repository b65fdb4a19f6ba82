"""Whether the application held, and what broke first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

# A generator that uses so much of its one processor measures itself.
GENERATOR_FULL: Final = 0.9
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


def judge(total: dict[str, Any], samples: list[dict[str, Any]], max_p99: float, max_errors: float) -> Verdict:
    """The verdict on a planned shape: the bounds hold for all its requests together."""
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
    verdict = Verdict(not broken, f"{'did not hold' if broken else 'held'}: {facts}", broken)
    for sample in samples:
        bad = sample["requests"] and sample["failures"] / sample["requests"] > max_errors
        if broken and (bad or sample["p99"] > max_p99):
            what = "errors" if bad else f"a p99 of {milliseconds(sample['p99'])}"
            verdict.notes.append(f"first: {what} after {sample['at']:.0f} s, with {sample['users']} users")
            break
    return verdict


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
    cpu = sorted(each["generator_cpu"] for each in samples)
    if cpu and cpu[len(cpu) // 2] > GENERATOR_FULL:
        verdict.notes.append(
            "the load generator used all of its processor: the figures are its own; add --worker processes, or use wrk"
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
